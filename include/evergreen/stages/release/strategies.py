"""How requests come to a new version: one function a strategy, by its name in the spec."""

from __future__ import annotations

from typing import Protocol

from include.evergreen.contracts import Deployment, Proposal, Verification
from include.evergreen.errors import InputError
from include.evergreen.spec.release import Strategy
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.release.switch import send_everything
from include.evergreen.stages.resources import Resources


class Shift(Protocol):
    """Brings requests to a proven candidate, until it answers all of them or was found wanting."""

    def __call__(
        self, resources: Resources, /, proposal: Proposal, proven: Verification, *, clock: Clock
    ) -> Deployment | None:
        """What answers in production in the end; None: not yet, call again.

        It may be called again at any time: after a death, or to look whether its window is over.
        """


STRATEGIES: dict[Strategy, Shift] = {"blue_green": send_everything}


def shift_traffic(
    resources: Resources, proposal: Proposal, proven: Verification, *, clock: Clock = utc_now
) -> Deployment | None:
    """Send requests to the candidate as the spec's strategy says; None: not yet, call again.

    Raises:
        InputError: the strategy is none that can be carried out.
    """
    name = resources.spec.deployment.strategy
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise InputError(
            f"deployment.strategy {name!r} of {proposal.model} cannot be carried out; use "
            f"{', '.join(STRATEGIES)}. Production is as it was."
        )
    return strategy(resources, proposal, proven, clock=clock)
