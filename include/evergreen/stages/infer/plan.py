"""How an inferred model is trained and watched: sized by its data, to be staged in minutes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from include.evergreen.contracts import Task
from include.evergreen.stages.infer.columns import Facts

HOLDOUT_SHARE = 0.2
METRICS: dict[Task, str] = {"regression": "rmse", "binary": "roc_auc", "multiclass": "macro_f1"}
_LINEAR: dict[Task, str] = {
    "regression": "ridge",
    "binary": "logistic_regression",
    "multiclass": "logistic_regression",
}
_DAY_S = 86_400
_SMALL, _LARGE, _HUGE = 20_000, 100_000, 500_000
_SPREAD_SIGMAS = 3.0


def training_of(
    task: Task, frame: pl.DataFrame, n_features: int, time: Facts | None, guesses: list[str]
) -> dict[str, Any]:
    """The `training` section. Trials and folds shrink as the table grows; see the guesses."""
    rows, cells = frame.height, frame.height * max(1, n_features)
    estimators = ["hist_gradient_boosting"]
    if rows <= _LARGE:
        estimators += [_LINEAR[task]]
    if rows <= _SMALL:
        estimators.insert(1, "random_forest")
    budget = {
        "trials": 20 if rows <= _LARGE else 8,
        "seconds": 45 if cells <= _HUGE else 90,
        "workers": 2 if rows > _SMALL else 1,
    }
    holdout, size = _holdout_of(rows, time)
    guesses.append(
        f"Metric: {METRICS[task]}. Search: at most {budget['trials']} trials and "
        f"{budget['seconds']} seconds over {', '.join(estimators)}."
    )
    guesses.append(f"Holdout: about {size:,} of {rows:,} rows that no model is fitted on.")
    return {
        "estimators": estimators,
        "metric": METRICS[task],
        "budget": budget,
        "holdout": holdout,
        "folds": 3 if rows <= _HUGE else 2,
        "min_rows": max(20, min(200, rows // 2)),
    }


def _holdout_of(rows: int, time: Facts | None) -> tuple[dict[str, Any], int]:
    """The newest fifth where there is a time, else a fifth by hash; `min_rows` safely below it."""
    expected = HOLDOUT_SHARE * rows
    if time is None:
        spread = _SPREAD_SIGMAS * math.sqrt(expected * (1 - HOLDOUT_SHARE))
        least = _between(int(expected - spread))
        return {"share": HOLDOUT_SHARE, "min_rows": least}, round(expected)
    seconds = np.sort(time.series.dt.epoch("us").to_numpy() / 1e6)
    ages_days = (seconds[-1] - seconds) / _DAY_S
    if not ages_days[0]:
        return {"share": HOLDOUT_SHARE, "min_rows": _between(int(expected / 2))}, round(expected)
    days = float(f"{ages_days[-max(1, int(expected))]:.2g}") or float(f"{ages_days[0] / 5:.2g}")
    days = min(3650.0, max(days, 1e-4))
    size = int((ages_days < days).sum())
    return {"days": days, "min_rows": _between(size // 2)}, size


def _between(rows: int) -> int:
    return max(10, min(200, rows))


def monitoring_of(features: Sequence[Facts], time: Facts | None) -> dict[str, Any]:
    """The `monitoring` section: only where there is a time, for then the seasons move."""
    if time is None:
        return {}
    rising = [f.name for f in features if _rises(f, time)]
    watched = {"numeric_method": "wasserstein", "numeric_threshold": 1.5}
    return {"monitoring": watched | ({"ignore": rising} if rising else {})}


def _rises(feature: Facts, time: Facts) -> bool:
    """Whether a column only ever grows with time, as counters and years do."""
    if feature.kind not in {"integer", "float"} or feature.null_share:
        return False
    in_order = feature.series.gather(time.series.arg_sort())
    return in_order.is_sorted()
