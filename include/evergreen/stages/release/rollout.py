"""Where a strategy stands is in the ledger before anything is done on its account.

A version that is compared with the champion in production is `starting`: it is live nowhere, and
no champion. How far its strategy has come is in the newest decision `shifting`, which every look
renews: a task that was killed, or another run, goes on from there, and one that nobody looks after
any more wakes release. Settling leaves clients divided while both versions run; else it sends all
of them to what is live, and the next look divides them again.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace
from typing import Any, NoReturn

from include.evergreen.contracts import Actor, Deployment, Proposal, RunningService
from include.evergreen.errors import ReleaseAborted
from include.evergreen.policy.releasing import SLACK
from include.evergreen.stages.clock import Clock
from include.evergreen.stages.deploy.deployment_lease import deployment_lease
from include.evergreen.stages.deploy.services import GRACE_S, PRODUCTION, runtime_for
from include.evergreen.stages.deploy.settle import settle_deployments
from include.evergreen.stages.deploy.traffic import publish
from include.evergreen.stages.release.journal import journal, say_of
from include.evergreen.stages.release.on_card import tell_cards
from include.evergreen.stages.release.stand import STAND, Stand, stand_of, under_way
from include.evergreen.stages.release.words import last_word, why_of
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


def begun(
    resources: Resources, proposal: Proposal, first: Stand, why: str, *, now: dt.datetime
) -> Stand:
    """Where the strategy stands: as the ledger has it, else at its first step, which is decided."""
    stand = stand_of(resources, proposal.version)
    if stand is None:
        advance(resources, proposal, first, why, now=now)
    return stand or first


def advance(
    resources: Resources,
    proposal: Proposal,
    stand: Stand,
    why: str,
    *,
    now: dt.datetime,
    evidence: dict[str, Any] | None = None,
) -> None:
    """A step is decided, for good; what it takes is done after this, and may be done again."""
    journal(
        resources, "shifting", proposal, why, now=now, until=now + SLACK,
        evidence={**(evidence or {}), STAND: stand.as_json()}, part=f"step {stand.step + 1}",
    )  # fmt: skip


def renew(resources: Resources, proposal: Proposal, stand: Stand, *, now: dt.datetime) -> None:
    """The strategy is looked after, and stands here."""
    found = under_way(resources)
    say_of(
        resources, "shifting", proposal, found.why if found else "",
        now=now, until=now + SLACK, details={STAND: stand.as_json()},
    )  # fmt: skip


def aborted(resources: Resources, proposal: Proposal) -> str:
    """Why the strategy of a proposal ended with no; '' where it did not."""
    word, decision = last_word(resources.ledger, resources.model, proposal.version)
    return why_of(decision) if word == "aborted" else ""


def abort(
    resources: Resources,
    proposal: Proposal,
    service: RunningService,
    why: str,
    *,
    clock: Clock,
    evidence: dict[str, Any] | None = None,
    actor: Actor | None = None,
) -> NoReturn:
    """All requests go to the champion at once, then the new version goes, then it is told.

    Told last: before that any run of release finds the strategy under way, and ends what is left.

    Raises:
        ReleaseAborted: always.
        Unavailable: the champion does not answer; requests are sent where they were.
    """
    with deployment_lease(resources, PRODUCTION):
        stand = stand_of(resources, proposal.version)
        if stand is not None and stand.ends:
            why = stand.ends
        elif stand is not None:  # whoever goes on divides requests no more
            renew(resources, proposal, replace(stand, ends=why), now=clock())
        live = resources.ledger.deployment(resources.model, PRODUCTION)
        if live is not None and not is_live(live, proposal):
            publish(resources, PRODUCTION, live.service)
        _remove(resources, service, why, clock())
        if not aborted(resources, proposal):
            journal(
                resources, "aborted", proposal, why, now=clock(), evidence=evidence, actor=actor
            )
        settle_deployments(resources, PRODUCTION, now=clock(), alias_may_lag=True)
    tell_cards(resources)
    answers = f"v{live.version} answers every request" if live else "Nothing answers in production"
    raise ReleaseAborted(
        f"{proposal.model} v{proposal.version} was not released: {why}. {answers} as before; "
        f"nobody need get up. v{proposal.version} is released again by hand only."
    )


def end_overtaken(resources: Resources, wanted: int | None, *, clock: Clock) -> None:
    """A strategy that can come to no end is ended: its champion is gone, or another is wanted.

    Args:
        resources: of the model.
        wanted: the version that a person asked for; None where nobody did.
        clock: the time.
    """
    found = under_way(resources)
    if found is None:
        return
    proposal, stand = found.proposal, found.stand
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    why = ""
    if live is None or live.version not in {proposal.replaces, proposal.version}:
        why = not_the_champion(proposal, live)
    elif wanted not in {None, proposal.version} and not is_live(live, proposal):
        why = f"v{wanted} was asked for by hand"
    if not why:
        return
    try:
        abort(resources, proposal, stand.proven.service, why, clock=clock)
    except ReleaseAborted as end:
        log.warning("%s", end)


def is_live(live: Deployment | None, proposal: Proposal) -> bool:
    """Whether what answers is what is proposed: the version, as this very image."""
    digest = live.service.image_digest if live is not None else ""
    return live is not None and (live.version, digest) == (proposal.version, proposal.image.digest)


def not_the_champion(proposal: Proposal, live: Deployment | None) -> str:
    answering = f"v{live.version}" if live else "nothing"
    return (
        f"it was compared with v{proposal.replaces}, and {answering} answers in production by now"
    )


def _remove(resources: Resources, service: RunningService, why: str, now: dt.datetime) -> None:
    """The service and its deployment end; one that was made live meanwhile is not touched."""
    ledger, model = resources.ledger, resources.model
    kept = ledger.deployments(model, ["live", "spare", "stopping"], PRODUCTION)
    if service.name not in {record.service_name for record in kept}:
        runtime_for(resources, service).remove(service, grace_s=GRACE_S)
    for record in ledger.deployments(model, ["starting"], PRODUCTION):
        if record.service_name == service.name:
            reason = f"aborted: {why}"
            ledger.finish_deployment(record.id, "failed", reason, (), now, run=resources.owner)
