"""The rules of `gates`: what a gate may name, and which gate fits which task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from include.evergreen.contracts import Task
from include.evergreen.policy.metrics import (
    CLASSIFICATION,
    KNOWN,
    NO_JUDGES,
    metrics_for,
    scorers_for,
)
from include.evergreen.spec.document import Location
from include.evergreen.spec.problems import Problem, hint
from include.evergreen.spec.rules_data import NUMERIC

if TYPE_CHECKING:
    from include.evergreen.spec.gates import Behaviour, Slice
    from include.evergreen.spec.model import ModelSpec
    from include.evergreen.spec.sections import Column

BASELINES: dict[str, tuple[Task, ...]] = {
    "mean": ("regression",),
    "majority": CLASSIFICATION,
    "last_value": ("regression", *CLASSIFICATION),
}
#: Limits that only some tasks have a figure for.
_LIMITS: dict[tuple[str, str], tuple[Task, ...]] = {
    ("fairness", "max_demographic_parity_difference"): ("binary",),
    ("fairness", "max_equalized_odds_difference"): ("binary",),
    ("fairness", "max_mean_prediction_gap"): ("regression",),
    ("calibration", "max_error"): CLASSIFICATION,
    ("calibration", "max_bias"): ("regression",),
}
_GROUPS = ("category", "boolean", "integer")


def gates(spec: ModelSpec) -> Iterator[Problem]:
    """Every rule of the section that is broken."""
    yield from _baseline(spec)
    for name in spec.gates.floors:
        yield from metric(("gates", "floors", name), name, spec.task)
    yield from _limits(spec)
    for index, part in enumerate(spec.gates.slices):
        yield from _slice(spec, part, ("gates", "slices", index))
    yield from _named_twice(
        ("gates", "slices"), [part.name for part in spec.gates.slices if part.name]
    )
    for index, name in enumerate(spec.gates.fairness.columns):
        yield from _groups(spec, name, ("gates", "fairness", "columns", index))
    for index, test in enumerate(spec.gates.behaviour):
        yield from _behaviour(spec, test, ("gates", "behaviour", index))
    yield from _named_twice(("gates", "behaviour"), [test.name for test in spec.gates.behaviour])


def _baseline(spec: ModelSpec) -> Iterator[Problem]:
    baseline = spec.gates.naive_baseline
    if baseline is not None and spec.task not in BASELINES[baseline]:
        yield Problem(("gates", "naive_baseline"), f"{baseline!r} does not fit {spec.task}")
    if baseline == "last_value" and spec.data.time is None:
        yield Problem(("gates", "naive_baseline"), "'last_value' needs data.time")


def metric(at: Location, name: str, task: Task) -> Iterator[Problem]:
    """A metric has to be known, computable from predictions, and of the task."""
    ours, scorers = ", ".join(metrics_for(task)), scorers_for(task)
    if name in NO_JUDGES:
        yield Problem(at, f"{name!r} judges no model: {NO_JUDGES[name]}; use {ours}")
    elif name not in KNOWN:
        yield Problem(
            at,
            f"{name[:60]!r} is not known; {task}: {ours}, or a scorer of scikit-learn, such as "
            f"{scorers[0]}.{hint(name, [*metrics_for(task), *scorers])}",
        )
    elif task not in KNOWN[name].tasks:
        yield Problem(at, f"{name!r} does not fit {task}; use {ours}")


def _limits(spec: ModelSpec) -> Iterator[Problem]:
    for (section, limit), tasks in _LIMITS.items():
        written = getattr(spec.gates, section)
        usual = type(written).model_fields[limit].default
        if spec.task not in tasks and getattr(written, limit) != usual:
            yield Problem(
                ("gates", section, limit),
                f"has no meaning for {spec.task}; it is for {' and '.join(tasks)}",
            )


def _slice(spec: ModelSpec, part: Slice, at: Location) -> Iterator[Problem]:
    column, problem = _column(spec, part.column, (*at, "column"))
    if column is None:
        yield from problem
        return
    ranged = part.min is not None or part.max is not None
    if ranged == (part.values is not None):
        both = "has both values and a range" if ranged else "names neither values nor a range"
        yield Problem(at, f"{both}; give values, or min and max")
    if ranged and column.type not in NUMERIC:
        yield Problem(at, f"a {column.type} has no range; give values of {part.column!r}")
    if part.min is not None and part.max is not None and part.min >= part.max:
        yield Problem(
            (*at, "min"), f"min {part.min:g} is not below max {part.max:g}; no row is in between"
        )
    for index, value in enumerate(part.values or ()):
        problem_of_it = _value_problem(column, value)
        if column.type == "float":
            problem_of_it = "a float has no values of its own; give min and max"
        if problem_of_it:
            yield Problem((*at, "values", index), problem_of_it)


def _groups(spec: ModelSpec, name: str, at: Location) -> Iterator[Problem]:
    column, problem = _column(spec, name, at)
    yield from problem
    if column is not None and column.type not in _GROUPS:
        yield Problem(at, f"{name!r} is a {column.type}; groups are told by {', '.join(_GROUPS)}")
    if spec.gates.fairness.columns.index(name) != at[-1]:
        yield Problem(at, f"{name!r} stands twice")


def _behaviour(spec: ModelSpec, test: Behaviour, at: Location) -> Iterator[Problem]:
    if test.expect != "same" and spec.task == "multiclass":
        yield Problem((*at, "expect"), f"{test.expect!r} does not fit multiclass; 'same' does")
    if bool(test.set_to) == (test.add is not None):
        both = "has both set_to and add" if test.set_to else "has neither set_to nor add"
        yield Problem(at, f"{both}; give one of them")
    if test.add == 0:
        yield Problem((*at, "add"), "adds nothing; the answer cannot but stay the same")
    column, problem = _column(spec, test.column, (*at, "column"))
    yield from problem
    if column is None:
        return
    if test.add is not None and column.type not in NUMERIC:
        yield Problem((*at, "add"), f"nothing can be added to a {column.type}; use set_to")
    for index, value in enumerate(test.set_to):
        outside = _value_problem(column, value)
        if outside:
            yield Problem((*at, "set_to", index), outside)


def _column(spec: ModelSpec, name: str, at: Location) -> tuple[Column | None, list[Problem]]:
    """The feature column of this name, or the problem that there is none."""
    known = spec.feature_columns
    if name in known:
        return known[name], []
    what = "the target" if name == spec.data.target else "no feature column"
    return None, [Problem(at, f"{name!r} is {what}.{hint(name, list(known))}")]


def _value_problem(column: Column, value: Any) -> str | None:
    """Why no row of the contract can have this value in the column; None if one can."""
    if column.type == "boolean":
        return None if isinstance(value, bool) else f"saw {value!r}; a boolean is true or false"
    if column.type in NUMERIC:
        return _number_problem(column, value)
    if column.values and (isinstance(value, bool) or value not in column.values):
        shown = ", ".join(repr(known) for known in column.values[:10])
        guess = hint(str(value), [str(known) for known in column.values])
        return f"saw {value!r}; the contract allows {shown}.{guess}"
    if not column.values and not isinstance(value, str):
        return f"saw {value!r}; the column holds texts"
    return None


def _number_problem(column: Column, value: Any) -> str | None:
    if isinstance(value, str | bool):
        return f"saw {value!r}; the column holds numbers"
    if column.type == "integer" and value != int(value):
        return f"saw {value!r}; the column holds whole numbers"
    if column.min is not None and value < column.min:
        return f"saw {value!r}; the contract allows no less than {column.min:g}"
    if column.max is not None and value > column.max:
        return f"saw {value!r}; the contract allows no more than {column.max:g}"
    return None


def _named_twice(at: Location, names: Sequence[str]) -> Iterator[Problem]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield Problem(at, f"{twice[0]!r} is the name of two; give each one of its own")
