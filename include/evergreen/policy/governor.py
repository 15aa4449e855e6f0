"""Decides whether the pending requests justify a training now. Pure: facts in, verdict out.

Two questions, one after the other: does any request meet its own rule (rows, drift, switches),
and does a brake hold it back (`brakes`: cooldown, daily budgets, rejections)? A request that is
not granted stays pending; the reason of every "no" names what is missing and when it can come.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from include.evergreen.contracts import RetrainRequest
from include.evergreen.policy.brakes import (
    BrakeRules,
    Track,
    brakes,
    clock_time,
    duration,
)


@dataclass(frozen=True)
class RetrainRules:
    """What may start a training: `retrain` of the spec, and the rows a first model needs.

    Drift counts when it was seen in `drift_windows` of the last `drift_windows_of` windows.
    """

    on_new_data: bool
    min_new_rows: int
    on_drift: bool
    min_rows: int
    drift_windows: int = 1
    drift_windows_of: int = 1
    brakes: BrakeRules = field(default_factory=BrakeRules)


@dataclass(frozen=True)
class Situation:
    """How things stand, as far as the rules ask.

    Attributes:
        rows_total: rows (labelled ones, where labels come later) that the lake holds.
        rows_since: those of them that came after the last training that was judged.
        has_model: whether a version was ever registered; a first model only needs rows.
        windows: of the champion that drifted, newest first: whether each window drifted. Empty
            where none is on record; the request then stands for the one it was made of.
        track: what was trained before, and what it has cost.
        now: the time of the decision.
    """

    rows_total: int
    rows_since: int
    has_model: bool
    now: dt.datetime
    windows: Sequence[bool] = ()
    track: Track = field(default_factory=Track)


@dataclass(frozen=True)
class RetrainDecision:
    """`go` trains for all pending requests; `not_yet` and `nothing` train nothing.

    `until` is when time alone turns a `not_yet` into a `go`; None where it needs something else.
    """

    verdict: Literal["go", "not_yet", "nothing"]
    reason: str
    until: dt.datetime | None = None


def decide(
    pending: Sequence[RetrainRequest],
    rules: RetrainRules,
    situation: Situation,
    *,
    scheduled: bool = False,
    force: bool = False,
) -> RetrainDecision:
    """Whether to train now.

    Args:
        pending: every unanswered request, whoever asked.
        rules: of the model's spec.
        situation: how things stand.
        scheduled: the cron of `retrain.schedule` woke this run.
        force: a person wants it whatever the rules say; the judge is never skipped.
    """
    if force:
        return RetrainDecision("go", "forced by hand")
    if not pending and not scheduled:
        return RetrainDecision("nothing", "no request is pending")
    reasons = dict.fromkeys(request.reason for request in pending)
    if scheduled:
        reasons.setdefault("schedule")
    if not situation.has_model:
        return _first_model(rules, situation)
    refusals = {reason: _refusal(reason, rules, situation) for reason in reasons}
    granted = [reason for reason, why_not in refusals.items() if why_not is None]
    refused = [why_not for why_not in refusals.values() if why_not is not None]
    if not granted:
        return RetrainDecision("not_yet", "; ".join(refused))
    return _unless_braked(
        rules,
        situation,
        f"{', '.join(granted)}; {situation.rows_since:,} rows since the last training",
        waiting=f"{', '.join(granted)} must wait: ",
        besides=refused,
        only_budgets="manual" in granted,
    )


def wait(until: dt.datetime | None, now: dt.datetime) -> str:
    """When a "no" can become a "go", for a person who reads it now; empty where time is not it."""
    if until is None:
        return ""
    return f"in {duration(until - now)}" if until > now else "now"


def _first_model(rules: RetrainRules, situation: Situation) -> RetrainDecision:
    rows = situation.rows_total
    if rows >= rules.min_rows:
        return _unless_braked(
            rules,
            situation,
            f"first model; {rows:,} rows",
            waiting="the first model must wait: ",
            only_budgets=True,
        )
    return RetrainDecision(
        "not_yet",
        f"{rows:,} rows so far, a first model needs {rules.min_rows:,} (training.min_rows): "
        f"when {rules.min_rows - rows:,} more came",
    )


def _unless_braked(
    rules: RetrainRules,
    situation: Situation,
    go: str,
    *,
    waiting: str,
    besides: Sequence[str] = (),
    only_budgets: bool,
) -> RetrainDecision:
    """`go`, or the brakes that hold, until the last of them lets go."""
    held = brakes(rules.brakes, situation.track, situation.now, only_budgets=only_budgets)
    if not held:
        return RetrainDecision("go", go)
    until = max(brake.until for brake in held)
    reasons = "; ".join(brake.reason for brake in held)
    why = f"{waiting}{reasons}: not before {clock_time(until)}"
    return RetrainDecision("not_yet", "; ".join([why, *besides]), until)


def _refusal(reason: str, rules: RetrainRules, situation: Situation) -> str | None:
    """Why a request of this kind is not granted now; None if it is."""
    rows = situation.rows_since
    if reason == "new_data":
        if not rules.on_new_data:
            return "new data does not retrain (retrain.on_new_data is off)"
        if rows < rules.min_new_rows:
            return (
                f"{rows:,} new rows since the last training, {rules.min_new_rows:,} are required "
                f"(retrain.min_new_rows): when {rules.min_new_rows - rows:,} more came"
            )
    if reason == "drift":
        if not rules.on_drift:
            return "drift does not retrain (retrain.on_drift is off)"
        return _too_few_windows(rules, situation)
    if reason == "schedule" and rows == 0:
        return "the schedule is due, but no new row came since the last training: when one came"
    return None


def _too_few_windows(rules: RetrainRules, situation: Situation) -> str | None:
    windows = list(situation.windows or (True,))[: rules.drift_windows_of]
    drifted = sum(windows)
    if drifted >= rules.drift_windows:
        return None
    return (
        f"drift in {drifted} of the last {len(windows)} windows, {rules.drift_windows} of "
        f"{rules.drift_windows_of} are required (retrain.drift_windows): when "
        f"{rules.drift_windows - drifted} more drifted"
    )
