"""Decides whether the pending requests justify a training now. Pure: counts in, verdict out.

A request that is not granted stays pending; the reason of every "no" names what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from include.evergreen.contracts import RetrainRequest


@dataclass(frozen=True)
class RetrainRules:
    """What may start a training: `retrain` of the spec, and the rows a first model needs."""

    on_new_data: bool
    min_new_rows: int
    on_drift: bool
    min_rows: int


@dataclass(frozen=True)
class RetrainDecision:
    """`go` trains for all pending requests; `not_yet` and `nothing` train nothing."""

    verdict: Literal["go", "not_yet", "nothing"]
    reason: str


def decide(
    pending: Sequence[RetrainRequest],
    rules: RetrainRules,
    *,
    rows_total: int,
    rows_since: int,
    has_model: bool,
    scheduled: bool = False,
    force: bool = False,
) -> RetrainDecision:
    """Whether to train now.

    Args:
        pending: every unanswered request, whoever asked.
        rules: of the model's spec.
        rows_total: rows (labelled ones, where labels come later) that the lake holds.
        rows_since: those of them that came after the last training that was judged.
        has_model: whether a version was ever registered; a first model only needs rows.
        scheduled: the cron of `retrain.schedule` woke this run.
        force: a person wants it whatever the rules say; the judge is never skipped.
    """
    if force:
        return RetrainDecision("go", "forced by hand")
    if not pending and not scheduled:
        return RetrainDecision("nothing", "no request is pending")
    if not has_model:
        return _first_model(rules, rows_total)
    granted: list[str] = []
    refused: list[str] = []
    for reason in dict.fromkeys(request.reason for request in pending):
        why_not = _refusal(reason, rules, rows_since)
        if why_not is None:
            granted.append(reason)
        else:
            refused.append(why_not)
    if scheduled and "schedule" not in {request.reason for request in pending}:
        why_not = _refusal("schedule", rules, rows_since)
        granted += ["schedule"] if why_not is None else []
        refused += [why_not] if why_not is not None else []
    if granted:
        rows = f"{rows_since:,} rows since the last training"
        return RetrainDecision("go", f"{', '.join(granted)}; {rows}")
    return RetrainDecision("not_yet", "; ".join(refused))


def _first_model(rules: RetrainRules, rows_total: int) -> RetrainDecision:
    if rows_total >= rules.min_rows:
        return RetrainDecision("go", f"first model; {rows_total:,} rows")
    return RetrainDecision(
        "not_yet",
        f"{rows_total:,} rows so far, a first model needs {rules.min_rows:,} (training.min_rows)",
    )


def _refusal(reason: str, rules: RetrainRules, rows_since: int) -> str | None:
    """Why a request of this kind is not granted now; None if it is."""
    if reason == "new_data":
        if not rules.on_new_data:
            return "new data does not retrain (retrain.on_new_data is off)"
        if rows_since < rules.min_new_rows:
            return (
                f"{rows_since:,} new rows since the last training, "
                f"{rules.min_new_rows:,} are required (retrain.min_new_rows)"
            )
    if reason == "drift" and not rules.on_drift:
        return "drift does not retrain (retrain.on_drift is off)"
    if reason == "schedule" and rows_since == 0:
        return "the schedule is due, but no new row came since the last training"
    return None
