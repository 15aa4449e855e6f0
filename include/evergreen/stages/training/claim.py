"""Claims every pending request for one training, or records why there is none to be had now.

Whatever woke the run, the ledger says what is wanted. A run by hand, and one by the schedule,
write their own wish into the ledger first, so that it is answered like any other.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.evergreen.contracts import Claim, RequestReason, RetrainRequest, TrialBudget
from include.evergreen.errors import InputError
from include.evergreen.policy.governor import RetrainDecision, Situation, decide
from include.evergreen.run_params import TrainParams, parse_conf
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.retrain_facts import rules_of, situation_of
from include.evergreen.stages.training.waiting import SEEN, STAGE, UNTIL

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What this run was started with: the trigger form, and who or what started it."""

    run_id: str
    reason: str = ""
    trials: int | None = None
    seconds: int | None = None
    force: bool = False
    by_hand: bool = False
    scheduled: bool = False

    @classmethod
    def from_conf(cls, conf: object, *, run_id: str, run_type: str) -> Wanted:
        """From a run's params (a mapping, or its JSON), checked; InputError if they are no good."""
        if isinstance(conf, str):
            try:
                conf = json.loads(conf)
            except (ValueError, RecursionError) as error:
                raise InputError("The run's conf is no JSON object.") from error
        form = parse_conf(conf, TrainParams)
        return cls(
            run_id=run_id,
            reason=form.reason,
            trials=form.trials,
            seconds=form.seconds,
            force=form.force,
            by_hand=run_type == "manual",
            scheduled=run_type == "scheduled",
        )


def claim_requests(resources: Resources, wanted: Wanted, *, now: dt.datetime) -> Claim | None:
    """All pending requests, if the governor grants a training now; None otherwise.

    The "no" is recorded as a decision (`why_not` says it), and what was asked for stays pending.
    """
    ledger, model = resources.ledger, resources.model
    if wanted.by_hand or wanted.force:
        _ask(resources, "manual", wanted, now)
    pending = ledger.pending_requests(model)
    decision, situation = _decide(resources, pending, wanted, now)
    log.info("%s: %s (%s), %d pending", model, decision.verdict, decision.reason, len(pending))
    ledger.record_decision(
        model,
        STAGE,
        decision.verdict,
        decision.reason,
        {
            "rows": situation.rows_total,
            "rows_since": situation.rows_since,
            "pending": len(pending),
            SEEN: pending[-1].id if pending else 0,
            UNTIL: decision.until.isoformat() if decision.until else None,
        },
        now,
    )
    if decision.verdict != "go":
        return None
    if wanted.scheduled and not any(request.reason == "schedule" for request in pending):
        _ask(resources, "schedule", wanted, now)
        pending = ledger.pending_requests(model)
    return Claim(
        model=model,
        run_id=wanted.run_id,
        reason=f"{decision.reason}; {wanted.reason}" if wanted.reason else decision.reason,
        request_ids=tuple(request.id for request in pending),
        budget=_budget(resources, wanted),
        forced_by=wanted.run_id if wanted.force else "",
    )


def grantable_requests(resources: Resources, *, now: dt.datetime) -> list[RetrainRequest]:
    """The pending requests, if a training would be granted for them now; else none.

    None either where the last attempt stopped at "not yet" and no row came since: trying again
    would end the same.
    """
    pending = resources.ledger.pending_requests(resources.model)
    if not pending or _waits_for_rows(resources):
        return []
    decision, _ = _decide(resources, pending, Wanted(run_id=""), now)
    return pending if decision.verdict == "go" else []


def _decide(
    resources: Resources, pending: list[RetrainRequest], wanted: Wanted, now: dt.datetime
) -> tuple[RetrainDecision, Situation]:
    as_in_spec = not wanted.force and wanted.trials is None and wanted.seconds is None
    situation = situation_of(resources, pending, now, may_resume=as_in_spec)
    decision = decide(
        pending,
        rules_of(resources),
        situation,
        scheduled=wanted.scheduled,
        force=wanted.force,
    )
    return decision, situation


def _waits_for_rows(resources: Resources) -> bool:
    """Whether the last decision was "not yet" for exactly the rows and spec there are now."""
    last = resources.ledger.last_decision(resources.model, "freeze", "judge")
    if last is None or last.verdict != "not_yet":
        return False
    return last.details.get("standing") == standing(resources)


def standing(resources: Resources) -> dict[str, Any]:
    """What a "not yet" depends on: the versions of the tables, and the spec."""
    return {
        "rows": resources.lake.version(resources.model, "rows"),
        "labels": resources.lake.version(resources.model, "labels"),
        "spec": resources.spec.training_digest(),
    }


def _ask(resources: Resources, reason: RequestReason, wanted: Wanted, now: dt.datetime) -> None:
    details: Mapping[str, Any] = {"reason": wanted.reason, "run_id": wanted.run_id}
    cause = f"{reason}:{wanted.run_id}"
    resources.ledger.request_retrain(resources.model, reason, cause, dict(details), now)


def _budget(resources: Resources, wanted: Wanted) -> TrialBudget:
    budget = resources.spec.training.budget
    return TrialBudget(
        trials=wanted.trials or budget.trials,
        seconds=wanted.seconds or budget.seconds,
        workers=budget.workers,
    )
