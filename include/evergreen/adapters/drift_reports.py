"""Writes the Evidently report of a comparison, from a sample that is the same every time.

Evidently is known here only. It looks at pandas frames and is slow on many rows, so each side is
thinned to `SAMPLE_ROWS`; the verdict is the gate's, from all rows. Its figures differ from the
gate's where the methods do: its PSI and Jensen-Shannon use equally wide bins, and `ks` and
`chi2` are shown as p-values against `P_VALUE`.
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from include.evergreen.effects import effect
from include.evergreen.errors import DriftReportFailed

os.environ.setdefault("DO_NOT_TRACK", "1")
with warnings.catch_warnings():  # deprecations inside Evidently's own dependencies
    warnings.simplefilter("ignore")
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

SAMPLE_ROWS = 5_000
#: The rows are thinned evenly over this many stretches of time.
STRETCHES = 20
#: Below this Evidently calls a p-value drift.
P_VALUE = 0.01
HTML, JSON = "evidently.html", "evidently.json"
_METHODS = {
    "psi": "psi",
    "jensen_shannon": "jensenshannon",
    "wasserstein": "wasserstein",
    "ks": "ks",
    "chi2": "chisquare",
}


@dataclass(frozen=True)
class ReportColumn:
    """One column to show: `method` and `threshold` as the gate uses them."""

    name: str
    kind: Literal["numeric", "categorical"]
    method: str
    threshold: float


@dataclass(frozen=True)
class WrittenReport:
    """The files of a report, how many rows each side shows, and the columns left out (why)."""

    html: Path
    json: Path
    rows_reference: int
    rows_current: int
    left_out: dict[str, str]


@effect
def write_report(
    reference: pl.DataFrame,
    current: pl.DataFrame,
    columns: Sequence[ReportColumn],
    directory: Path,
    *,
    drift_share: float,
    seed: int,
) -> WrittenReport:
    """Write Evidently's drift and summary report as HTML, which needs no network, and JSON.

    The JSON holds Evidently's verdicts on drift under `tests`. Its other tests (each extreme and
    quantile within 10% of the reference's) are left out: on samples they fail by chance.

    Args:
        reference: the champion's training rows, oldest first.
        current: what came in since, oldest first; the same columns.
        columns: what to show, with the gate's methods and thresholds.
        directory: where to; made if absent.
        drift_share: share of drifted columns from which the whole set counts as drifted.
        seed: of the sample.

    Raises:
        DriftReportFailed: Evidently could not make it; a retry may help.
    """
    left_out = _left_out(reference, current, columns)
    shown = [column for column in columns if column.name not in left_out]
    if not shown:
        raise DriftReportFailed(
            "No column has a value on both sides, so there is nothing for Evidently to show."
        )
    sides = [_sample(side, shown, seed) for side in (reference, current)]
    directory.mkdir(parents=True, exist_ok=True)
    html, document = directory / HTML, directory / JSON
    try:
        with warnings.catch_warnings():  # constant columns, and Evidently's use of pandas
            warnings.simplefilter("ignore")
            datasets = {
                "reference_data": _dataset(sides[0], shown),
                "current_data": _dataset(sides[1], shown),
            }
            drift = _drift(shown, drift_share)
            verdicts = Report([drift], include_tests=True).run(**datasets)
            report = Report([drift, DataSummaryPreset()]).run(**datasets)
            _write(html, report.get_html_str(as_iframe=False))
            content = json.loads(report.json()) | {"tests": json.loads(verdicts.json())["tests"]}
            _write(document, json.dumps(content, indent=1))
    except Exception as error:
        raise DriftReportFailed(
            f"Evidently could not make its report of {len(shown)} columns from "
            f"{sides[0].height:,} and {sides[1].height:,} rows: {type(error).__name__}: {error}"
        ) from error
    return WrittenReport(html, document, sides[0].height, sides[1].height, left_out)


def _left_out(
    reference: pl.DataFrame, current: pl.DataFrame, columns: Sequence[ReportColumn]
) -> dict[str, str]:
    """An all-null column breaks Evidently's whole report."""
    why: dict[str, str] = {}
    for column in columns:
        for side, frame in (("training", reference), ("current", current)):
            values = _values(frame, column).drop_nulls()
            if values.is_empty():
                why[column.name] = f"no value in the {side} rows"
    return why


def _values(frame: pl.DataFrame, column: ReportColumn) -> pl.Series:
    if column.kind == "numeric":
        return frame[column.name].cast(pl.Float64).fill_nan(None)
    return frame[column.name].cast(pl.String)


def _sample(frame: pl.DataFrame, columns: Sequence[ReportColumn], seed: int) -> pl.DataFrame:
    """At most `SAMPLE_ROWS`, the same number from each stretch of time, in their order.

    A column that would be all null in the sample keeps one of its values.
    """
    if frame.height > SAMPLE_ROWS:
        edges = [frame.height * i // STRETCHES for i in range(STRETCHES + 1)]
        numbered = frame.with_row_index("__row")
        picked = [
            numbered[low:high]["__row"].sample(SAMPLE_ROWS // STRETCHES, seed=seed + low)
            for low, high in itertools.pairwise(edges)
        ]
        chosen = set(pl.concat(picked).to_list())
        for column in columns:
            values = _values(frame, column).is_not_null()
            if not values.gather(sorted(chosen)).any():
                chosen.add(int(values.arg_true()[0]))
        frame = frame[sorted(chosen)]
    return pl.DataFrame([_values(frame, column) for column in columns])


def _dataset(frame: pl.DataFrame, columns: Sequence[ReportColumn]) -> Any:
    definition = DataDefinition(
        numerical_columns=[c.name for c in columns if c.kind == "numeric"],
        categorical_columns=[c.name for c in columns if c.kind == "categorical"],
    )
    return Dataset.from_pandas(frame.to_pandas(), data_definition=definition)


def _drift(columns: Sequence[ReportColumn], drift_share: float) -> Any:
    return DataDriftPreset(
        columns=[column.name for column in columns],
        per_column_method={c.name: _METHODS[c.method] for c in columns},
        per_column_threshold={
            c.name: P_VALUE if c.method in ("ks", "chi2") else c.threshold for c in columns
        },
        drift_share=drift_share,
    )


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.tmp")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
