"""Writes the files of one look and logs them to the champion's MLflow run under `drift/<stamp>/`.

`verdict.json` and `drift.html` hold the gate's exact figures, Evidently's files its own beside
them. The same files stay under `<reports>/<model>/<stamp>/`, for the newest `KEPT` looks.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.evergreen.contracts import DriftReport
from include.evergreen.effects import effect
from include.evergreen.stages.monitoring.drift_page import PAGE, render_page
from include.evergreen.stages.monitoring.drift_statistics import ColumnPlan
from include.evergreen.stages.monitoring.drift_window import Window
from include.evergreen.stages.resources import Resources

if TYPE_CHECKING:
    from include.evergreen.adapters.drift_reports import ReportColumn

KEPT = 50
VERDICT = "verdict.json"


def report_uri(resources: Resources, run_id: str, stamp: str) -> str:
    """Where a person opens the report: in MLflow, or the file where MLflow has no server."""
    page = resources.registry.run_url(run_id)
    if page.startswith(("http://", "https://")):
        return f"{page}/artifacts/drift/{stamp}/{PAGE}"
    return (_directory(resources, stamp) / PAGE).as_uri()


@effect
def write_files(
    resources: Resources,
    report: DriftReport,
    window: Window,
    plans: list[ColumnPlan],
    marker: dict[str, Any],
) -> None:
    """Write all files of a look and log them; the same again overwrites them.

    Args:
        resources: settings, registry and spec.
        report: the look, as it stands in the ledger.
        window: its rows.
        plans: the watched columns.
        marker: its `stamp`, whether `evidently` is due, and the `evidently_uri` of the last one.

    Raises:
        DriftReportFailed: Evidently could not make its report; the gate's files are there.
    """
    directory = _directory(resources, marker["stamp"])
    directory.mkdir(parents=True, exist_ok=True)
    verdict = directory / VERDICT
    _write(verdict, json.dumps(report.as_json(), indent=1))
    _write(directory / PAGE, render_page(report, None, marker))
    files = [verdict, directory / PAGE]
    if marker["evidently"]:
        from include.evergreen.adapters import drift_reports  # slow to import, and may break

        written = drift_reports.write_report(
            window.reference,
            window.current,
            _shown(report, window, plans),
            directory,
            drift_share=resources.spec.monitoring.min_drifted_columns / max(len(plans), 1),
            seed=resources.spec.training.seed,
        )
        _write(directory / PAGE, render_page(report, written, marker))
        files += [written.html, written.json]
    resources.registry.log_report(report.run_id, files, f"drift/{marker['stamp']}")
    _forget_old(directory.parent)


@effect
def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _directory(resources: Resources, stamp: str) -> Path:
    return Path(resources.settings.reports_dir / resources.model / stamp)


def _shown(report: DriftReport, window: Window, plans: list[ColumnPlan]) -> list[ReportColumn]:
    """The columns both sides have, each with the limit the gate applied."""
    from include.evergreen.adapters.drift_reports import ReportColumn

    limits = {(c.column, c.method): c.threshold for c in report.verdict.columns}
    present = set(window.reference.columns) & set(window.current.columns)
    return [
        ReportColumn(
            name=plan.name,
            kind=plan.kind,
            method=plan.method,
            threshold=limits.get((plan.name, plan.method), plan.threshold),
        )
        for plan in plans
        if plan.name in present
    ]


@effect
def _forget_old(directory: Path) -> None:
    looks = sorted(path for path in directory.iterdir() if path.is_dir())
    for old in looks[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
