"""All requests go to the new version in one instant, and the one before it stays warm."""

from __future__ import annotations

import logging
from typing import Any

from include.evergreen.contracts import Deployment, Proposal, RunningService, Verification
from include.evergreen.errors import LeaseLost, Unavailable, VerificationFailed
from include.evergreen.policy.releasing import SLACK
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.promote import go_live
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.counters import COUNTERS, STARTED, counters_of
from include.evergreen.stages.release.journal import journal, told, who
from include.evergreen.stages.release.on_card import tell_cards
from include.evergreen.stages.release.undo import undo_release
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


def still_to_replace(resources: Resources, proposal: Proposal) -> Deployment | None:
    """What answers in production (None: nothing does): what the proposal replaces, or its version.

    Raises:
        LeaseLost: another version went live since this one was proposed.
    """
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    answering = live.version if live else None
    if answering not in {proposal.replaces, proposal.version}:
        raise LeaseLost(
            f"{proposal.model} v{proposal.version} was to replace "
            f"{f'v{proposal.replaces}' if proposal.replaces else 'nothing'}, and v{answering} "
            "answers in production now. The next run looks at it anew."
        )
    return live


@under_deployment_lease(PRODUCTION)
def send_everything(
    resources: Resources, proposal: Proposal, proven: Verification, *, clock: Clock = utc_now
) -> Deployment:
    """Every request is answered by the new version from now on; it is the champion.

    What it replaces is the spare until the watch is over. Repeated, it finds itself done.

    Raises:
        LeaseLost: another version went live since this one was proposed.
        ReleaseAborted: its service has ended since it was verified, or does not answer any more.
        VerificationFailed: it ended in this very moment.
        ReleaseRolledBack: it fell silent in this very moment, and was live by then.
        Unavailable: clients cannot be sent to it now; who answered before still does.
    """
    live = still_to_replace(resources, proposal)
    now = clock()
    if live is None or live.service.service_id != proven.service.service_id:
        seen = _seen_before(resources, proven.service)
        if isinstance(seen, str):
            rollout.abort(resources, proposal, proven.service, seen, clock=clock)
        evidence = {"checks": [check.as_json() for check in proven.checks], **seen}
        journal(
            resources, "releasing", proposal, "it proved itself in production",
            now=now, until=now + SLACK, evidence=evidence,
        )  # fmt: skip
    try:
        deployed = go_live(
            resources,
            PRODUCTION,
            proven,
            reason=f"released: {proposal.reason}",
            replaced="spare",
            entry=told(
                resources,
                "released",
                proposal.version,
                proposal.reason or "asked for by hand",
                replaces=proposal.replaces,
                actor=who(proposal.asked_by),
                image=proposal.image.digest,
            ),
            now=now,
        )
    except VerificationFailed as failure:
        journal(resources, "failed", proposal, str(failure).partition("\n")[0], now=now)
        raise
    except Unavailable:
        live = resources.ledger.deployment(resources.model, PRODUCTION)
        why = _seen_before(resources, proven.service) if rollout.is_live(live, proposal) else {}
        if isinstance(why, str):
            undo_release(resources, proposal, why, by="switch", clock=clock)
        raise
    tell_cards(resources)
    return deployed


def _seen_before(resources: Resources, service: RunningService) -> dict[str, Any] | str:
    """For the details of a decision: what is known of a service before requests are sent to it.
    In words why it says nothing, where that is its fault.

    Raises:
        Unavailable: there is no way to it, or the gateway was started anew meanwhile.
    """
    runtime = runtime_for(resources, service)
    if runtime.state(service) != "running":
        return "it ended"
    way, started = runtime.way_to(service), runtime.started_at(service)
    counted = counters_of(resources, service)
    if counted is not None:
        return {COUNTERS: counted.as_json(), STARTED: started.isoformat() if started else ""}
    if runtime.way_to(service) != way:
        raise Unavailable(
            f"The gateway in front of {service.name} was started anew while it was asked. The next "
            "try asks it again."
        )
    return "it does not answer"
