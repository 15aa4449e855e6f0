"""Guesses what columns are for: the task a target makes, and which are the time and the key."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from include.evergreen.contracts import Task
from include.evergreen.errors import InputError
from include.evergreen.stages.infer.columns import FIRST_YEAR, LAST_YEAR, MAX_NAME, Facts
from include.evergreen.stages.infer.leakage import Leak

_TIME_NAME = re.compile(
    r"(?i)(?:^|[_\s.-])(?:time|timestamp|ts|date|datetime|day|dteday|at|when|hour|created|recorded)"
    r"(?:$|[_\s.-])|timestamp|datetime|date$"
)
_MAX_CLASSES = 100
_FEW_CLASSES = 10
_ROWS_A_CLASS = 10
_BINARY = 2


@dataclass(frozen=True)
class Wanted:
    """What the person said: the model's name, the target, and maybe the time and the key."""

    name: str
    target: str
    time: str | None = None
    key: str | None = None


@dataclass
class Inferred:
    """A spec as plain values, and in plain words what was guessed and what was left out."""

    document: dict[str, Any]
    guesses: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    leaks: list[Leak] = field(default_factory=list)
    rows: int = 0
    columns: int = 0


def as_classes(target: Facts) -> Facts:
    """A target of a few whole numbers written with a fraction (0.0, 1.0) as the classes it is."""
    if target.kind != "float" or target.n_unique > _FEW_CLASSES:
        return target
    whole = target.series.drop_nulls()
    if not (whole == whole.floor()).all() or not _is_class(target):
        return target
    return dataclasses.replace(target, kind="integer", series=target.series.cast(pl.Int64))


def task_of(target: Facts, found: Inferred) -> Task:
    name = target.name
    if target.why_not and target.kind != "category" and not target.counts_up:
        raise InputError(f"{name!r} cannot be the target: {target.why_not}.")
    if target.kind == "timestamp" or target.n_unique < _BINARY:
        raise InputError(f"{name!r} cannot be the target: {target.why_not or 'it is a time'}.")
    if target.kind == "float":
        found.guesses.append(f"Task: regression, for {name!r} holds numbers with fractions.")
        return "regression"
    if target.kind == "integer" and not _is_class(target):
        found.guesses.append(
            f"Task: regression, for {name!r} holds {target.n_unique:,} different whole numbers."
        )
        return "regression"
    if target.n_unique > min(_MAX_CLASSES, len(target.series) // 2):
        raise InputError(
            f"{name!r} has {target.n_unique:,} different texts in {len(target.series):,} rows: "
            f"too many for classes (at most {_MAX_CLASSES}), and no numbers."
        )
    task: Task = "binary" if target.n_unique == _BINARY else "multiclass"
    shown = ", ".join(str(value) for value in target.values[:10])
    found.guesses.append(f"Task: {task}, for {name!r} is one of {target.n_unique}: {shown}.")
    if target.kind == "integer" and task == "multiclass":
        found.guesses.append(
            f"The whole numbers of {name!r} are taken as names of classes. If they are amounts, "
            "set task: regression, metric: rmse and type: integer."
        )
    return task


def _is_class(target: Facts) -> bool:
    if target.n_unique == _BINARY:
        return True
    width = int(target.series.max()) - int(target.series.min()) + 1  # type: ignore[arg-type]
    often = len(target.series) / target.n_unique >= _ROWS_A_CLASS
    return target.n_unique <= _FEW_CLASSES and width == target.n_unique and often


def time_of(facts: dict[str, Facts], wanted: Wanted, found: Inferred) -> str | None:
    if wanted.time is not None:
        time = facts[wanted.time]
        problem = _time_problem(time)
        if problem:
            raise InputError(
                f"{wanted.time!r} cannot be the time column: {problem}. Every row needs a time "
                "as ISO 8601 writes it, 2011-01-31 or 2011-01-31T18:00:00 say. Mend it, or leave "
                "TIME out."
            )
        return wanted.time
    times = [f for f in facts.values() if f.kind == "timestamp" and f.name != wanted.target]
    clear = [f for f in times if f.null_share == 0 and f.n_unique > 1 and _in_range(f)]
    likely = [f for f in clear if _TIME_NAME.search(f.name) or f.series.is_sorted()]
    if len(times) == 1 and len(likely) == 1:
        found.guesses.append(
            f"Time: {likely[0].name!r}, the only column of times. The newest rows judge a model."
        )
        return likely[0].name
    if times:
        names = ", ".join(repr(f.name) for f in times[:10])
        found.guesses.append(f"No time column: which of {names} is it? Say TIME=... if one is.")
    else:
        found.guesses.append("No time column: a fixed random part of the rows judges a model.")
    return None


def _time_problem(time: Facts) -> str:
    if time.null_share:
        return f"{time.null_share:.1%} of it is empty"
    if time.kind != "timestamp":
        return f"it holds {str(time.series.drop_nulls().first())[:60]!r}"
    return "" if _in_range(time) else f"it leaves the years {FIRST_YEAR} to {LAST_YEAR}"


def _in_range(time: Facts) -> bool:
    """Whether the years are such as a model can be asked about."""
    years = time.series.dt.year()
    return years.min() >= FIRST_YEAR and years.max() <= LAST_YEAR  # type: ignore[operator, return-value]


def key_of(
    facts: dict[str, Facts], wanted: Wanted, time: str | None, found: Inferred
) -> str | None:
    if wanted.key is not None:
        if not facts[wanted.key].unique:
            found.guesses.append(
                f"The key {wanted.key!r} has repeated or empty values in this file."
            )
        return wanted.key
    usable = [f for f in facts.values() if f.unique and f.kind in {"integer", "category"}]
    likely = [f for f in usable if f.named_like_an_id and f.name and f.name != wanted.target]
    if len(likely) == 1 and len(likely[0].name) <= MAX_NAME:
        found.guesses.append(f"Key: {likely[0].name!r}, another value in every row.")
        return likely[0].name
    if time and facts[time].unique:
        found.guesses.append(f"Key: {time!r}, for no two rows share a time.")
        return time
    return None
