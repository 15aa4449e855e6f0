"""How requests come to a new version: one function a strategy, by its name in the spec."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Protocol

from include.evergreen.contracts import Deployment, Proposal, RunningService, Verification
from include.evergreen.errors import NotApproved
from include.evergreen.spec.release import Strategy
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.ab import split_keys
from include.evergreen.stages.release.approval import require_approval
from include.evergreen.stages.release.canary import raise_share
from include.evergreen.stages.release.journal import journal
from include.evergreen.stages.release.shadow import replay_requests
from include.evergreen.stages.release.stand import stand_of
from include.evergreen.stages.release.switch import send_everything, still_to_replace
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


class Shift(Protocol):
    """Brings requests to a proven candidate, until it answers all of them or was found wanting."""

    def __call__(
        self, resources: Resources, /, proposal: Proposal, proven: Verification, *, clock: Clock
    ) -> Deployment | None:
        """What answers in production in the end; None: not yet, call again.

        It may be called again at any time: after a death, or to look whether its window is over.
        """


STRATEGIES: dict[Strategy, Shift] = {
    "blue_green": send_everything,
    "canary": raise_share,
    "shadow": replay_requests,
    "ab": split_keys,
}
#: Strategies under which both versions answer clients at once.
_DIVIDING: frozenset[Strategy] = frozenset({"canary", "ab"})


@under_deployment_lease(PRODUCTION)
def shift_traffic(
    resources: Resources, proposal: Proposal, proven: Verification, *, clock: Clock = utc_now
) -> Deployment | None:
    """Send requests to the candidate as the spec's strategy says; None: not yet, call again.

    A strategy that has begun is gone on with, whatever the spec says by now. Where it cannot be
    carried out, the candidate gets every request at once, and the journal says why.

    Raises:
        ReleaseAborted: the strategy ended with no; what answered before answers.
        LeaseLost: another version went live since this one was proposed.
        NotApproved: the ledger has no word that lets this very proposal in, or not this service.
    """
    stand = stand_of(resources, proposal.version)
    ended = stand.ends if stand is not None else rollout.aborted(resources, proposal)
    if ended:
        rollout.abort(resources, proposal, proven.service, ended, clock=clock)
    if stand is not None:
        require_approval(resources, proposal)
        return STRATEGIES[stand.strategy](resources, proposal, stand.proven, clock=clock)
    live = still_to_replace(resources, proposal)
    require_approval(resources, proposal)
    if rollout.is_live(live, proposal):  # done already
        return send_everything(resources, proposal, proven, clock=clock)
    proven = replace(proven, service=_started(resources, proposal, proven))
    name = resources.spec.deployment.strategy
    why = _why_at_once(resources, name, live, proven)
    if why:
        why = f"{name} is not possible, all requests at once as blue_green: {why}"
        journal(resources, "at_once", proposal, why, now=clock(), part="at once")
        name = "blue_green"
    return STRATEGIES[name](resources, proposal, proven, clock=clock)


def _started(resources: Resources, proposal: Proposal, proven: Verification) -> RunningService:
    """The service that proved itself, as the ledger has it: of the image that was approved.

    Raises:
        NotApproved: the ledger has no such service of this image.
    """
    approved = proposal.version, proposal.image.digest, proven.service.service_id
    for record in resources.ledger.deployments(resources.model, environment=PRODUCTION):
        found = record.service
        if found and (record.version, found.image_digest, found.service_id) == approved:
            return found
    raise NotApproved(
        f"The service {proven.service.name} is not one that was started in production as image "
        f"{proposal.image.digest} of {proposal.model} v{proposal.version}, which was approved; no "
        "request is sent to it. Clear 'start_in_production'."
    )


def _why_at_once(
    resources: Resources, name: Strategy, live: Deployment | None, proven: Verification
) -> str:
    """Why a strategy cannot be carried out; empty if it can."""
    if name == "blue_green":
        return ""
    if live is None:
        return "no version answers in production that it could be compared with"
    services = live.service, proven.service
    splits = all(runtime_for(resources, service).splits for service in services)
    if name in _DIVIDING and not (splits and services[0].runtime == services[1].runtime):
        return (
            "the versions run as plain processes, with nothing in front of them that could divide "
            "requests"
        )
    return ""
