"""The rules between the fields of `data`: columns, their roles, the target and the places."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from typing import TYPE_CHECKING

from include.evergreen.contracts import Task
from include.evergreen.spec.document import Location
from include.evergreen.spec.locations import location_problem
from include.evergreen.spec.problems import Problem, hint
from include.evergreen.spec.sections import Column

if TYPE_CHECKING:
    from include.evergreen.spec.model import ModelSpec

RESERVED_COLUMNS = frozenset(
    {"_file_digest", "_file_uri", "_row_number", "_ingested_at", "_batch", "_line", "_environment"}
)
NUMERIC = ("float", "integer")
_BINARY = 2


def columns(spec: ModelSpec) -> Iterator[Problem]:
    for name, column in spec.data.columns.items():
        at: Location = ("data", "columns", name)
        if name in RESERVED_COLUMNS:
            yield Problem(at, f"{name!r} is a name the lake uses itself; rename the column")
        if column.min is not None and column.max is not None and column.min > column.max:
            yield Problem((*at, "min"), f"min {column.min:g} is above max {column.max:g}")
        for bound in ("min", "max"):
            if getattr(column, bound) is not None and column.type not in NUMERIC:
                yield Problem((*at, bound), f"a {column.type} has no {bound}; float and integer do")
        problem = _values_problem(column, spec.data.limits.max_categories)
        if problem:
            yield Problem((*at, "values"), problem)


def _values_problem(column: Column, limit: int) -> str | None:
    values = column.values
    if values is None:
        return None
    rules = (
        (column.type != "category", f"a {column.type} lists no values; a category does"),
        (not values, "is empty; leave it out to allow any value"),
        (len(set(values)) < len(values), "holds a value twice"),
        (len({type(v) for v in values}) > 1, "mixes texts and integers; quote the integers"),
        (
            len(values) > limit,
            f"lists {len(values):,} values; data.limits.max_categories is {limit:,}",
        ),
    )
    return next((message for broken, message in rules if broken), None)


def roles(spec: ModelSpec) -> Iterator[Problem]:
    data = spec.data
    if data.target not in data.columns:
        guess = hint(data.target, list(data.columns))
        yield Problem(("data", "target"), f"{data.target!r} is not in data.columns.{guess}")
    for role in ("time", "key"):
        if getattr(data, role) == data.target:
            yield Problem(("data", role), f"{data.target!r} is the target; it cannot be the {role}")
        elif getattr(data, role) in RESERVED_COLUMNS:
            yield Problem(("data", role), f"{getattr(data, role)!r} is a name the lake uses itself")
    if data.time in data.columns and data.columns[data.time].type != "timestamp":
        seen = data.columns[data.time].type
        yield Problem(
            ("data", "columns", data.time, "type"),
            f"the time column is a timestamp, not a {seen}; or leave it out of columns",
        )
    if data.labels is not None and data.key is None:
        yield Problem(("data", "labels"), "late labels are joined by key, and data.key is not set")
    if data.time_zone != "UTC":
        try:
            zoneinfo.ZoneInfo(data.time_zone)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            yield Problem(
                ("data", "time_zone"),
                f"saw {data.time_zone[:60]!r}; it should be a zone such as UTC or Europe/Berlin",
            )


def target(spec: ModelSpec) -> Iterator[Problem]:
    column = spec.data.columns.get(spec.data.target)
    if column is None:
        return
    at: Location = ("data", "columns", spec.data.target)
    if spec.task == "regression" and column.type not in NUMERIC:
        yield Problem((*at, "type"), f"a regression predicts a number, not a {column.type}")
    if spec.task != "regression":
        yield from _classes(spec.task, column, at)


def _classes(task: Task, column: Column, at: Location) -> Iterator[Problem]:
    if column.unseen != "refuse":
        yield Problem((*at, "unseen"), "an unseen class cannot be taken as missing; use refuse")
    if column.type == "boolean" and task == "binary":
        return
    if column.type != "category" or not column.values:
        wanted = "a boolean, or a category with its" if task == "binary" else "a category with its"
        yield Problem(at, f"the target of a {task} model is {wanted} values")
    elif task == "binary" and len(column.values) != _BINARY:
        yield Problem((*at, "values"), f"has {len(column.values)} values; a binary target has 2")
    elif task == "multiclass" and len(column.values) <= _BINARY:
        yield Problem((*at, "values"), f"has {len(column.values)} values; multiclass needs 3")


def places(spec: ModelSpec) -> Iterator[Problem]:
    labels = spec.data.labels
    problem = location_problem(spec.data.landing)
    if problem:
        yield Problem(("data", "landing"), f"{spec.data.landing[:80]!r} {problem}")
    if labels is None:
        return
    problem = location_problem(labels.landing)
    if problem:
        yield Problem(("data", "labels", "landing"), f"{labels.landing[:80]!r} {problem}")
    if labels.landing.rstrip("/") == spec.data.landing.rstrip("/"):
        yield Problem(("data", "labels", "landing"), "is the landing zone of the rows; use another")
