"""Gathers what the governor is told: rows, drift windows, what was trained before and its cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import polars as pl

from include.evergreen.contracts import RetrainRequest
from include.evergreen.errors import EvergreenError
from include.evergreen.policy.brakes import DAY, BrakeRules, Spent, Track
from include.evergreen.policy.governor import RetrainRules, Situation
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.code_digest import code_digest
from include.evergreen.stages.training.recipes import check_builders

#: States of a training in which its rows were judged, once and for all.
_JUDGED = ("registered", "lost")
#: States of a training that the next run finishes.
_UNFINISHED = ("open", "won", "failed")
#: Reports are kept for `not_yet` and for other champions too: so many are searched for windows.
_REPORTS = 500


def rules_of(resources: Resources) -> RetrainRules:
    """The spec's `retrain`, as the governor reads it."""
    spec, retrain = resources.spec, resources.spec.retrain
    return RetrainRules(
        on_new_data=retrain.on_new_data,
        min_new_rows=retrain.min_new_rows,
        on_drift=retrain.on_drift,
        min_rows=spec.training.min_rows,
        drift_windows=retrain.drift_windows.n,
        drift_windows_of=retrain.drift_windows.of,
        brakes=BrakeRules(
            cooldown_s=retrain.cooldown_s,
            daily_trainings=retrain.daily_trainings,
            daily_compute_seconds=retrain.daily_compute_seconds,
            max_rejections=retrain.max_rejections,
            rejection_pause_s=retrain.rejection_pause_s,
        ),
    )


def situation_of(
    resources: Resources, pending: Sequence[RetrainRequest], now: dt.datetime, *, may_resume: bool
) -> Situation:
    """How things stand.

    Args:
        resources: of the model.
        pending: every unanswered request.
        now: the time of the decision.
        may_resume: whether this run would train as the spec says, and so go on with what an
            earlier one has begun.
    """
    total, since = count_rows(resources)
    return Situation(
        rows_total=total,
        rows_since=since,
        has_model=resources.ledger.latest_training(resources.model, "registered") is not None,
        now=now,
        windows=_windows(resources, pending),
        track=_track(resources, pending, now, may_resume=may_resume),
    )


def count_rows(resources: Resources) -> tuple[int, int]:
    """Rows (labels, where they come later) ever ingested, and since the last judged training."""
    model, ledger = resources.model, resources.ledger
    judged = [ledger.latest_training(model, state) for state in _JUDGED]  # type: ignore[arg-type]
    known = [record.snapshot for record in judged if record is not None]
    if resources.spec.data.labels is None:
        version = max((snapshot.data_version for snapshot in known), default=-1)
        return ledger.rows_ingested(model), ledger.rows_since(model, version)
    if resources.lake.version(model, "labels") is None:
        return 0, 0
    seen = max((snapshot.labels_version or -1 for snapshot in known), default=-1)
    labels = resources.lake.scan(model, "labels")
    counted = labels.select(pl.len(), (pl.col("_batch") > seen).sum().alias("since")).collect()
    return int(counted["len"][0]), int(counted["since"][0])


def _windows(resources: Resources, pending: Sequence[RetrainRequest]) -> list[bool]:
    """Whether each of the last looks at the champion that drifted saw drift, newest first."""
    drifted = [request for request in pending if request.reason == "drift"]
    if not drifted:
        return []
    champion = drifted[-1].details.get("champion")
    return [
        report.verdict.verdict == "drift"
        for report in resources.ledger.drift_reports(resources.model, _REPORTS)
        if report.champion_version == champion and report.verdict.verdict != "not_yet"
    ][: resources.spec.retrain.drift_windows.of]


def _track(
    resources: Resources, pending: Sequence[RetrainRequest], now: dt.datetime, *, may_resume: bool
) -> Track:
    model, ledger = resources.model, resources.ledger
    ended = ledger.ended_trainings(model, resources.spec.retrain.max_rejections)
    first_won = next((n for n, e in enumerate(ended) if e.state != "lost"), len(ended))
    lost = ended[:first_won]
    return Track(
        opened=ledger.trainings_opened_since(model, now - DAY),
        spent=[Spent(c.at, c.seconds) for c in ledger.compute_since(model, now - DAY)],
        last_ended=ended[0].ended_at if ended else None,
        rejections=len(lost),
        last_rejected=lost[0].ended_at if lost else None,
        new_evidence=_new_evidence(resources, pending, lost[0].ended_at, lost[0].spec_digest)
        if lost
        else "",
        resumes=may_resume and _resumes(resources),
    )


def _new_evidence(
    resources: Resources, pending: Sequence[RetrainRequest], rejected: dt.datetime, spec: str
) -> str:
    """What the last rejected challenger did not know.

    Drift asks once a champion and doubling of the fresh rows (ADR 5), so this lets a bounded
    number of trainings past the breaker.
    """
    if resources.spec.training_digest() != spec:
        return "the spec has changed"
    for request in pending:
        asked = dt.datetime.fromisoformat(request.created_at)
        if request.reason == "drift" and asked > rejected:
            return "drift was seen since"
    return ""


def _resumes(resources: Resources) -> bool:
    """Whether the training begun last is unfinished and would be the very same one again."""
    latest = resources.ledger.latest_training(resources.model)
    if latest is None or latest.state not in _UNFINISHED:
        return False
    model, lake, was = resources.model, resources.lake, latest.snapshot
    as_then = (was.data_version, was.labels_version, was.spec_digest)
    spec = resources.spec.training_digest()
    if as_then != (lake.version(model, "rows"), lake.version(model, "labels"), spec):
        return False
    try:
        builders = check_builders(resources.spec, resources.settings.models_dir)
    except EvergreenError:
        return False  # said by the step that needs them, with what to do
    return was.code_digest == code_digest(builders)
