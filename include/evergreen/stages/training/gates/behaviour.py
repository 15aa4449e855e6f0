"""Changes a column of the holdout as the spec's expectations say, and compares row by row."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from include.evergreen.policy.gates.behaviour import Observed, check_behaviour
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.spec import Behaviour, ModelSpec
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.gates.rows import spread
from include.evergreen.stages.training.recipes import classes_of
from include.evergreen.stages.training.scoring import Prediction, codes

#: Rows of the holdout an expectation is tried on, and how many are asked for with all its values.
ROWS = 1_000
ROWS_IN_ALL = 20_000
#: What arithmetic alone may differ by: the estimators answer in float32.
ROUNDING = 1e-6
#: Columns of the example in the evidence.
SHOWN = 20

Array = npt.NDArray[Any]


def behaviour(contest: Contest) -> Finding:
    """How many rows break each expectation of `gates.behaviour`."""
    return check_behaviour([_observe(contest, wanted) for wanted in contest.spec.gates.behaviour])


def _observe(contest: Contest, wanted: Behaviour) -> Observed:
    most = max(50, min(ROWS, ROWS_IN_ALL // max(1, len(wanted.set_to))))
    rows = spread(contest.holdout.filter(pl.col(wanted.column).is_not_null()), most)
    if rows.is_empty():
        return Observed(wanted.name, wanted.column, wanted.expect, 0, 0, wanted.max_violations)
    changed = [rows, *changed_rows(contest.spec, wanted, rows)]
    answers = _answers(contest, contest.ask(pl.concat(changed))).reshape(len(changed), -1)
    excess = _excess(wanted, answers) - _tolerance(contest, wanted)
    broken = excess > 0
    worst: dict[str, Any] = {}
    if broken.any():
        step, row = np.unravel_index(int(excess.argmax()), excess.shape)
        worst = _example(contest, wanted, changed, int(step), int(row), answers)
    return Observed(
        name=wanted.name,
        column=wanted.column,
        expect=wanted.expect,
        n_rows=rows.height,
        violations=int(broken.any(axis=0).sum()),
        max_violations=wanted.max_violations,
        worst=worst,
    )


def changed_rows(spec: ModelSpec, wanted: Behaviour, rows: pl.DataFrame) -> list[pl.DataFrame]:
    """The rows with the column changed, once for each value; inside what the contract allows."""
    name, kind = wanted.column, rows.schema[wanted.column]
    if wanted.add is None:
        return [rows.with_columns(pl.lit(v).cast(kind).alias(name)) for v in wanted.set_to]
    column = spec.data.columns[name]
    moved = rows[name].cast(pl.Float64) + wanted.add
    if column.min is not None or column.max is not None:
        moved = moved.clip(column.min, column.max)
    whole = moved.round() if column.type == "integer" else moved
    return [rows.with_columns(whole.cast(kind).alias(name))]


def _answers(contest: Contest, answer: Prediction) -> Array:
    """[n_rows] what is compared: a number, the second class's probability, or the label's code."""
    classes = classes_of(contest.spec)
    if contest.spec.task == "regression":
        return np.asarray(answer["prediction"], dtype=np.float64)
    if contest.spec.task == "binary":
        return np.asarray(answer[f"probability_{classes[1]}"], dtype=np.float64)
    return codes(answer["prediction"], classes)


def _compared_with(wanted: Behaviour, n_steps: int) -> list[int]:
    """Beside which answer each change is put: 0 is the row as it is.

    A direction over several values is one from each to the next: the row as it is may lie
    anywhere between them.
    """
    if wanted.expect == "same" or n_steps == 1:
        return [0] * n_steps
    return [1, *range(1, n_steps)]


def _excess(wanted: Behaviour, answers: Array) -> Array:
    """[n_changes, n_rows] how far each answer went where it may not; at or below 0: it did not."""
    before = answers[_compared_with(wanted, len(answers) - 1)]
    moved = answers[1:] - before
    excess: Array = {"same": abs(moved), "not_lower": -moved, "not_higher": moved}[wanted.expect]
    return np.where(np.isfinite(excess), excess, np.inf)


def _tolerance(contest: Contest, wanted: Behaviour) -> float:
    """In units of the answer: a probability, or standard deviations of the target."""
    if contest.spec.task == "multiclass":
        return 0.0
    unit = 1.0
    if contest.spec.task == "regression":
        unit = float(contest.train[contest.spec.data.target].cast(pl.Float64).to_numpy().std())
    return (wanted.tolerance + ROUNDING) * unit


def _example(
    contest: Contest,
    wanted: Behaviour,
    changed: list[pl.DataFrame],
    step: int,
    row: int,
    answers: Array,
) -> dict[str, Any]:
    """The row that breaks the expectation most: what was changed, and both answers."""
    before = _compared_with(wanted, len(changed) - 1)[step]
    shown = [name for name in contest.challenger.contract["columns"] if name != wanted.column]
    values = changed[step + 1].select(shown[:SHOWN]).row(row, named=True)
    return {
        "from": _json(changed[before][wanted.column][row]),
        "to": _json(changed[step + 1][wanted.column][row]),
        "before": _told(contest, answers[before, row]),
        "after": _told(contest, answers[step + 1, row]),
        "row": {name: _json(value) for name, value in values.items()},
    }


def _told(contest: Contest, answer: Any) -> Any:
    if contest.spec.task == "multiclass":
        return _json(classes_of(contest.spec)[int(answer)])
    return float(f"{answer:.6g}") if np.isfinite(answer) else None


def _json(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
