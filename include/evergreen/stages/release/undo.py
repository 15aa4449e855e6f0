"""A release that broke in production is undone, and the error says what answers now."""

from __future__ import annotations

from typing import NoReturn

from include.evergreen.contracts import Proposal
from include.evergreen.errors import InputError, ReleaseRolledBack
from include.evergreen.stages.clock import Clock
from include.evergreen.stages.release.journal import journal
from include.evergreen.stages.release.rollback import choose_return, put_back
from include.evergreen.stages.resources import Resources


def undo_release(
    resources: Resources, proposal: Proposal, broken: str, *, by: str, clock: Clock
) -> NoReturn:
    """The version before answers again; where there is none, the broken one is left.

    Args:
        resources: of the model.
        proposal: what was released.
        broken: how it broke, in words.
        by: who found it so: the watch, or the switch.
        clock: the time.

    Raises:
        ReleaseRolledBack: always, but for what `put_back` raises.
    """
    version = f"{proposal.model} v{proposal.version}"
    try:
        wanted = choose_return(resources, None, f"by the {by}: {broken}")
    except InputError as error:
        left = f"{broken}; there is no version to go back to, and it is left as it is"
        journal(resources, "failed", proposal, left, now=clock(), kind="watched")
        raise ReleaseRolledBack(
            f"{version} breaks its service levels in production ({broken}), and there is no "
            f"version to go back to: it is left as it is. Look now. {error}"
        ) from error
    back = put_back(resources, wanted, clock=clock)
    raise ReleaseRolledBack(
        f"{version} was rolled back: {broken}. v{back.version} answers again at "
        f"{back.service.endpoint}; it has proven itself. Nobody need get up. v{proposal.version} "
        f"is released again by hand only."
    )
