"""A model is taken out of service: nothing of it answers, and nothing of it is begun any more.

The word that it is retired comes first, so that no run begins what is being ended here. What was
trained and built stays, for `maintain` to keep as long as the rules say.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging

from include.evergreen.adapters.registry import CHALLENGER
from include.evergreen.adapters.runtime import Environment
from include.evergreen.contracts import Actor, JournalEntry
from include.evergreen.errors import ArtifactRefused, InputError
from include.evergreen.policy.journal import cut
from include.evergreen.stages.deploy.deployment_lease import deployment_lease
from include.evergreen.stages.deploy.services import GRACE_S, PRODUCTION, STAGING, runtime_for
from include.evergreen.stages.deploy.settle import ALIASES, settle_deployments
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.release.journal import told, who
from include.evergreen.stages.release.on_card import tell_cards
from include.evergreen.stages.release.retired import STAGE, why_retired
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

RETIRED = "retired"
_PLACES: tuple[Environment, ...] = (PRODUCTION, STAGING)


def retire(
    resources: Resources, confirmed: str, reason: str, *, asked_by: str = "", now: dt.datetime
) -> int | None:
    """Nothing answers for the model; the version that was champion, or staged, if there was one.

    Repeated, it ends what is left.

    Raises:
        InputError: the model's name was not typed as the confirmation.
    """
    model, ledger = resources.model, resources.ledger
    _confirm(resources, confirmed)
    why = why_retired(ledger, model) or reason or "asked for by hand"
    ledger.record_decision(model, STAGE, RETIRED, why, {"asked_by": asked_by}, now)
    last = _last_version(resources, why)
    entry = _entry(resources, last, why, asked_by)
    for environment in _PLACES:
        with deployment_lease(resources, environment):
            _stop(resources, environment, why, entry, now)
    ledger.append_journal(entry, now)  # nothing was live in production: it is not told yet
    pending = [request.id for request in ledger.pending_requests(model)]
    ledger.answer_requests(pending, None, RETIRED, f"{model} was retired: {why}", now)
    _archive(resources, last, why)
    anchor_entries(resources, model, now=now)
    tell_cards(resources)
    log.info("%s is retired: %s. Its last version was %s.", model, why, last and f"v{last}")
    return last


def take_back(
    resources: Resources, confirmed: str, reason: str, *, asked_by: str = "", now: dt.datetime
) -> None:
    """The model's DAGs work again; nothing answers until a version is trained or released.

    Repeated, it ends what is left.

    Raises:
        InputError: the model's name was not typed, or it was never retired.
    """
    _confirm(resources, confirmed)
    model, last = resources.model, resources.ledger.last_decision(resources.model, STAGE)
    if last is None:
        raise InputError(f"{model} is not retired: there is nothing to take back.")
    if last.verdict == RETIRED:  # else: done already, but for the alias
        why, details = reason or "asked for by hand", {"asked_by": asked_by}
        entry = JournalEntry(
            f"taken_back:{last.first_seen.isoformat()}", model, "taken_back",
            who(asked_by) or Actor("policy", STAGE), cut(why), run=resources.owner,
        )  # fmt: skip
        resources.ledger.record_decision(model, STAGE, "taken_back", why, details, now, entry=entry)
    resources.registry.remove_alias(model, RETIRED)
    anchor_entries(resources, model, now=now)


def _confirm(resources: Resources, confirmed: str) -> None:
    if confirmed != resources.model:
        raise InputError(
            f"'confirm' must be the model's name, '{resources.model}'; it is {confirmed[:80]!r}. "
            "Nothing was done."
        )


def _last_version(resources: Resources, why: str) -> int | None:
    """What answers in production, or did when this began; else, what does in staging."""
    for environment in _PLACES:
        for record in resources.ledger.deployments(resources.model, environment=environment):
            ended_here = record.live_at is not None and record.reason == _ended(why)
            if record.state == "live" or ended_here:
                return record.version
    return None


def _ended(why: str) -> str:
    return f"{RETIRED}: {why}"


def _stop(
    resources: Resources, environment: Environment, why: str, entry: JournalEntry, now: dt.datetime
) -> None:
    """Every deployment there is over in the ledger first, then its service is gone.

    Production's is told in the transaction in which it answers no more.
    """
    ledger, model = resources.ledger, resources.model
    ledger.let_spare_go(model, environment)
    for record in ledger.deployments(model, ["live", "starting"], environment):
        tells = environment == PRODUCTION and record.state == "live"
        ledger.finish_deployment(
            record.id, "stopped", _ended(why), (), now, entry=entry if tells else None
        )
    settle_deployments(resources, environment, now=now)
    for record in ledger.deployments(model, ["stopped"], environment):
        if record.service is not None and record.reason == _ended(why):
            runtime_for(resources, record.service).remove(record.service, grace_s=GRACE_S)
    for service in resources.runtime.find(model, environment):
        resources.runtime.remove(service, grace_s=GRACE_S)


def _entry(resources: Resources, last: int | None, why: str, asked_by: str) -> JournalEntry:
    """What the journal keeps of this retirement: one entry, however often it is gone through."""
    decision = resources.ledger.last_decision(resources.model, STAGE)
    began = decision.first_seen.isoformat() if decision else ""
    actor = who(asked_by) or Actor("policy", STAGE)
    event = f"retired:{began}"
    if last is None:
        model, run = resources.model, resources.owner
        return JournalEntry(event, model, "retired", actor, cut(why), run=run)
    entry = told(resources, "retired", last, why, replaces=last, actor=actor)
    return dataclasses.replace(entry, event=event, to_version=None)


def _archive(resources: Resources, last: int | None, why: str) -> None:
    """The registry says so: `retired` is on the last version, and no other alias of ours."""
    registry, model = resources.registry, resources.model
    if last is not None:
        try:
            registry.version_info(model, last)
        except ArtifactRefused as error:
            log.warning("v%d cannot be marked as retired: %s", last, error)
        else:
            registry.set_alias(model, RETIRED, last)
            registry.set_version_tags(model, last, {RETIRED: why})
    for alias in (*ALIASES.values(), CHALLENGER):
        registry.remove_alias(model, alias)
