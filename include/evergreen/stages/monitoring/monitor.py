"""Compares what came in since the champion was trained with what it was trained on.

The verdict comes first: it, and the request to retrain it leads to, are in the ledger before any
report is made. A report that fails fails the task; the next try finds the verdict by its
evidence (the champion and the versions of the tables) and makes the report only.

Every look writes `drift.html` and `verdict.json`. Evidently's report (4 MB) is written with them
where the verdict says something new, and once in `EVIDENTLY_EVERY` where it does not.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

from include.evergreen.contracts import DriftReport, DriftVerdict, RetrainRequest
from include.evergreen.policy.drift import decide_drift, drift_cause, too_early
from include.evergreen.stages.monitoring.drift_files import report_uri, write_files
from include.evergreen.stages.monitoring.drift_page import STAMP
from include.evergreen.stages.monitoring.drift_statistics import (
    ColumnPlan,
    column_plans,
    measure_column,
)
from include.evergreen.stages.monitoring.drift_window import (
    Evidence,
    Window,
    evidence_now,
    gather_window,
)
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

EVIDENTLY_EVERY = dt.timedelta(hours=6)
CHAMPION = "champion"


def watch_drift(resources: Resources, *, now: dt.datetime) -> DriftReport | None:
    """One look: verdict, request and report; None where nothing came in since the last look.

    Raises:
        DriftReportFailed: the verdict stands in the ledger, its report is still to be made.
    """
    model, ledger = resources.model, resources.ledger
    champion = resources.registry.version_of(model, CHAMPION)
    if champion is None:
        return _cannot_look(resources, None, "no version is champion", now)
    snapshot = ledger.snapshot_of_version(model, champion)
    if snapshot is None:
        why = f"the ledger does not know the training of champion v{champion}"
        return _cannot_look(resources, champion, why, now)
    evidence = evidence_now(resources, champion)
    marker = ledger.last_monitored(model) or {}
    same = marker.get("evidence") == evidence.as_json()
    if same and not marker.get("pending"):
        log.info("Nothing came in for %s since the last look (%s).", model, evidence)
        return None
    plans = column_plans(resources.spec)
    window = gather_window(resources, snapshot, evidence, plans)
    if not same:
        marker = _decide(resources, evidence, window, plans, marker, now)
    report = DriftReport.from_json(marker["report"])
    if marker["pending"]:
        write_files(resources, report, window, plans, marker)
        ledger.set_last_monitored(model, {**marker, "pending": False}, now)
    return report


def _decide(
    resources: Resources,
    evidence: Evidence,
    window: Window,
    plans: list[ColumnPlan],
    last: dict[str, Any],
    now: dt.datetime,
) -> dict[str, Any]:
    """Judge, ask and record; the marker of this look, its report still pending."""
    model, ledger = resources.model, resources.ledger
    verdict = judge_window(resources, window, plans)
    request = _ask(resources, evidence, window, verdict, now)
    run_id = resources.registry.version_info(model, evidence.champion).run_id
    stamp = now.astimezone(dt.UTC).strftime(STAMP)
    looked = verdict.verdict != "not_yet"
    report = DriftReport(
        model=model,
        champion_version=evidence.champion,
        verdict=verdict,
        run_id=run_id,
        report_uri=report_uri(resources, run_id, stamp) if looked else "",
        request_id=request.id if request else None,
    )
    due = looked and _is_evidently_due(last, report, now)
    _record(resources, report, now)
    marker = {
        "evidence": evidence.as_json(),
        "report": report.as_json(),
        "stamp": stamp,
        "pending": looked,
        "evidently": due,
        "evidently_at": now.isoformat() if due else last.get("evidently_at"),
        "evidently_uri": report.report_uri if due else last.get("evidently_uri"),
    }
    ledger.set_last_monitored(model, marker, now)
    return marker


def judge_window(resources: Resources, window: Window, plans: list[ColumnPlan]) -> DriftVerdict:
    """The verdict on a window: every watched column of every population, from all rows."""
    least = resources.spec.monitoring.min_rows
    rows_reference = window.reference.height
    if not window.populations:
        days = resources.spec.monitoring.window_days
        why = f"{window.fresh_rows:,} rows came in since the champion's, {least:,} are needed"
        if days is not None:
            why += f" in the newest {days:g} days"
        return too_early(why, rows_reference, window.fresh_rows)
    named = len(window.populations) > 1
    measured = [
        measurement
        for population, rows in window.populations.items()
        for plan in plans
        if plan.name in rows.columns and plan.name in window.reference.columns
        for measurement in measure_column(
            window.reference[plan.name], rows[plan.name], plan, population if named else ""
        )
    ]
    return decide_drift(
        measured,
        rows_reference=rows_reference,
        rows_current=window.current.height,
        min_drifted_columns=resources.spec.monitoring.min_drifted_columns,
    )


def _ask(
    resources: Resources,
    evidence: Evidence,
    window: Window,
    verdict: DriftVerdict,
    now: dt.datetime,
) -> RetrainRequest | None:
    """Ask for a training, once a cause, and not while an earlier drift still waits for one."""
    spec, ledger = resources.spec, resources.ledger
    if verdict.verdict != "drift" or not spec.retrain.on_drift:
        return None
    if any(waiting.reason == "drift" for waiting in ledger.pending_requests(spec.model)):
        return None
    return ledger.request_retrain(
        spec.model,
        "drift",
        drift_cause(evidence.champion, window.fresh_rows, spec.monitoring.min_rows),
        {
            "champion": evidence.champion,
            "columns": list(verdict.drifted_columns),
            "rows_current": verdict.rows_current,
            "reason": verdict.reason,
        },
        now,
    )


def _is_evidently_due(last: dict[str, Any], report: DriftReport, now: dt.datetime) -> bool:
    if not last.get("evidently_at") or not last.get("report"):
        return True
    before = DriftReport.from_json(last["report"])
    unchanged = (
        before.champion_version == report.champion_version
        and before.verdict.verdict == report.verdict.verdict
        and set(before.verdict.drifted_columns) == set(report.verdict.drifted_columns)
    )
    return not unchanged or now - dt.datetime.fromisoformat(last["evidently_at"]) > EVIDENTLY_EVERY


def _record(resources: Resources, report: DriftReport, now: dt.datetime) -> None:
    verdict = report.verdict
    resources.ledger.record_drift(report, now)
    resources.ledger.record_decision(
        resources.model,
        "monitor",
        verdict.verdict,
        verdict.reason,
        {"champion": report.champion_version, "request": report.request_id},
        now,
    )
    log.info(
        "Drift of %s v%s: %s. %s (%d rows against %d) Request: %s.",
        report.model,
        report.champion_version,
        verdict.verdict,
        verdict.reason,
        verdict.rows_current,
        verdict.rows_reference,
        report.request_id or "none",
    )


def _cannot_look(
    resources: Resources, champion: int | None, why: str, now: dt.datetime
) -> DriftReport:
    report = DriftReport(resources.model, champion, too_early(why), "", "", None)
    _record(resources, report, now)
    return report
