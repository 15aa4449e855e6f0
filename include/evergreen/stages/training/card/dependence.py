"""SHAP values as a card shows them: which columns count, and how the four that count most do."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from include.evergreen.stages.training.card.explain import MOST_COLUMNS, Explanation, explain
from include.evergreen.stages.training.contest import Contest

SHOWN = 15
PLOTTED = 4
MOST_GROUPS = 10
_NUMBERS = ("float", "integer")


def explanation_of(contest: Contest) -> dict[str, Any]:
    """Importances of the columns and the dependence of the first few, or why there are none."""
    n_columns = len(contest.challenger.contract["columns"])
    if n_columns > MOST_COLUMNS:
        return {
            "computed": False,
            "why_not": f"{n_columns:,} columns; at most {MOST_COLUMNS:,} are explained",
        }
    spec = contest.spec
    found = explain(contest.challenger, contest.train, contest.holdout, seed=spec.training.seed)
    importances = found.importances()
    output = _usual_output(found)
    kinds = contest.challenger.contract["columns"]
    return {
        "computed": True,
        "method": "permutation SHAP over raw columns, through the model's own predict",
        "of": _told(found, output),
        "classes": len(found.output),
        "unit": spec.data.target if spec.task == "regression" else "probability",
        "rows": found.rows.height,
        "rows_learned": found.n_learned,
        "background": found.background_rows,
        "evaluations": found.evaluations,
        "base": float(found.base[output]),
        "columns": len(importances),
        "importances": [
            {"column": name, "mean_abs": value} for name, value in list(importances.items())[:SHOWN]
        ],
        "dependence": [
            _dependence(found, name, output, kinds[name]["type"])
            for name in list(importances)[:PLOTTED]
        ],
    }


def _usual_output(found: Explanation) -> int:
    """The output that is drawn: of several classes the one the model gives most on average."""
    return int(np.argmax(found.answers.mean(axis=0)))


def _told(found: Explanation, output: int) -> str:
    name = found.output[output]
    if name == "prediction":
        return "the prediction"
    return f"the probability of {name.removeprefix('probability_')}"


def _dependence(found: Explanation, name: str, output: int, kind: str) -> dict[str, Any]:
    """How much a column moved the answer, by its value: points, or a range for each value."""
    effects = found.values[:, found.columns.index(name), output]
    values = found.rows[name]
    if isinstance(values.dtype, pl.Datetime | pl.Date):
        points = list(zip(values.dt.epoch("s").to_list(), effects.tolist(), strict=True))
        return {"column": name, "kind": "times", **_known(points, found.n_learned)}
    if kind in _NUMBERS:
        numbers = values.cast(pl.Float64).to_list()
        points = list(zip(numbers, effects.tolist(), strict=True))
        return {
            "column": name,
            "kind": "numbers",
            **_known(points, found.n_learned),
            "missing": _missing(points),
        }
    return {"column": name, "kind": "groups", "groups": _groups(values, effects)}


def _known(points: list[tuple[float | None, float]], n_learned: int) -> dict[str, Any]:
    """The points that have a value: those of rows learned from, and those of rows held out."""
    parts = {"train": points[:n_learned], "holdout": points[n_learned:]}
    return {
        "points": {
            part: [[x, y] for x, y in found if x is not None and np.isfinite(x)]
            for part, found in parts.items()
        }
    }


def _missing(points: list[tuple[float | None, float]]) -> dict[str, Any] | None:
    effects = [y for x, y in points if x is None or not np.isfinite(x)]
    return {"rows": len(effects), "mean": float(np.mean(effects))} if effects else None


def _groups(values: pl.Series, effects: Any) -> list[dict[str, Any]]:
    """The most frequent values, each with the spread of its effects."""
    frame = pl.DataFrame(
        {"value": values.cast(pl.String).fill_null("(missing)"), "effect": np.asarray(effects)}
    )
    groups = (
        frame.group_by("value")
        .agg(
            pl.len().alias("rows"),
            pl.col("effect").mean().alias("mean"),
            pl.col("effect").min().alias("low"),
            pl.col("effect").max().alias("high"),
        )
        .sort("rows", "value", descending=[True, False])
        .head(MOST_GROUPS)
    )
    return groups.sort("mean", "value").to_dicts()
