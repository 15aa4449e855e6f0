"""The rules that hold between the fields of a spec; `broken_rules` lists each one that is broken."""

from __future__ import annotations

import itertools
import re
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from include.evergreen.contracts import Task
from include.evergreen.policy.metrics import CLASSIFICATION, METRICS, metrics_for
from include.evergreen.spec_cron import MINUTE_S, cron_problem
from include.evergreen.spec_locations import location_problem
from include.evergreen.spec_yaml import Location

if TYPE_CHECKING:
    from include.evergreen.spec import ModelSpec

#: The estimators that need no code of the user's, and the tasks each fits.
ESTIMATORS: dict[str, tuple[Task, ...]] = {
    "hist_gradient_boosting": ("regression", "binary", "multiclass"),
    "random_forest": ("regression", "binary", "multiclass"),
    "ridge": ("regression",),
    "logistic_regression": CLASSIFICATION,
}
_BUILDER = re.compile(r"^include\.models(?:\.[A-Za-z_]\w*)+:[A-Za-z_]\w*$", re.ASCII)
_BASELINES: dict[str, tuple[Task, ...]] = {
    "mean": ("regression",),
    "majority": CLASSIFICATION,
    "last_value": ("regression", *CLASSIFICATION),
}
RESERVED_COLUMNS = frozenset({"_file_digest", "_row_number", "_ingested_at", "_batch"})
_NUMERIC = ("float", "integer")
_BINARY = 2


class Problem(NamedTuple):
    """One broken rule: where it shows, and what was seen against what is allowed."""

    location: Location
    message: str


class RuleBroken(ValueError):  # noqa: N818 - it carries what was broken; pydantic reads it
    """The problems of one spec, for the loader to place on their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(
            "; ".join(f"{'.'.join(map(str, p.location))}: {p.message}" for p in problems)
        )
        self.problems = tuple(problems)


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that a misspelt one most likely means, or None."""
    from rapidfuzz import fuzz, process

    match = process.extractOne(word[:100].lower(), known, scorer=fuzz.ratio, score_cutoff=70)
    return str(match[0]) if match else None


def broken_rules(spec: ModelSpec) -> list[Problem]:
    """Every rule between fields that the spec breaks, empty if none."""
    rules: tuple[Callable[[ModelSpec], Iterator[Problem]], ...] = (
        _columns, _roles, _target, _places, _features, _training, _gates, _schedules, _monitoring
    )  # fmt: skip
    return list(itertools.chain.from_iterable(rule(spec) for rule in rules))


def _hint(word: str, known: Sequence[str]) -> str:
    guess = nearest(word, list(known))
    return f" Did you mean {guess!r}?" if guess else ""


def _columns(spec: ModelSpec) -> Iterator[Problem]:
    for name, column in spec.data.columns.items():
        at: Location = ("data", "columns", name)
        if name in RESERVED_COLUMNS:
            yield Problem(at, f"{name!r} is a name the lake uses itself; rename the column")
        if column.min is not None and column.max is not None and column.min > column.max:
            yield Problem((*at, "min"), f"min {column.min:g} is above max {column.max:g}")
        for bound in ("min", "max"):
            if getattr(column, bound) is not None and column.type not in _NUMERIC:
                yield Problem((*at, bound), f"a {column.type} has no {bound}; float and integer do")
        if column.values is None:
            continue
        if column.type != "category":
            yield Problem((*at, "values"), f"a {column.type} lists no values; a category does")
        elif not column.values:
            yield Problem((*at, "values"), "is empty; leave it out to allow any value")
        elif len(set(column.values)) < len(column.values):
            yield Problem((*at, "values"), "holds a value twice")
        elif len({type(value) for value in column.values}) > 1:
            yield Problem((*at, "values"), "mixes texts and integers; quote the integers")
        elif len(column.values) > spec.data.limits.max_categories:
            limit = spec.data.limits.max_categories
            yield Problem(
                (*at, "values"),
                f"lists {len(column.values):,} values; data.limits.max_categories is {limit:,}",
            )


def _roles(spec: ModelSpec) -> Iterator[Problem]:
    data = spec.data
    if data.target not in data.columns:
        hint = _hint(data.target, list(data.columns))
        yield Problem(("data", "target"), f"{data.target!r} is not in data.columns.{hint}")
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


def _target(spec: ModelSpec) -> Iterator[Problem]:
    column = spec.data.columns.get(spec.data.target)
    if column is None:
        return
    at: Location = ("data", "columns", spec.data.target)
    if spec.task == "regression":
        if column.type not in _NUMERIC:
            yield Problem((*at, "type"), f"a regression predicts a number, not a {column.type}")
        return
    if column.type == "boolean" and spec.task == "binary":
        return
    if column.type != "category" or not column.values:
        wanted = "a boolean, or a category with" if spec.task == "binary" else "a category with its"
        yield Problem(at, f"the target of a {spec.task} model is {wanted} values")
    elif spec.task == "binary" and len(column.values) != _BINARY:
        yield Problem((*at, "values"), f"has {len(column.values)} values; a binary target has 2")
    elif spec.task == "multiclass" and len(column.values) <= _BINARY:
        yield Problem(
            (*at, "values"), f"has {len(column.values)} values; multiclass needs 3 or more"
        )
    if column.unseen != "refuse":
        yield Problem((*at, "unseen"), "an unseen class cannot be taken as missing; use refuse")


def _places(spec: ModelSpec) -> Iterator[Problem]:
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


def _features(spec: ModelSpec) -> Iterator[Problem]:
    features, columns = spec.features, spec.feature_columns
    if features.calendar and spec.data.time is None:
        yield Problem(("features", "calendar"), "needs a time column, and data.time is not set")
    if len(set(features.calendar)) < len(features.calendar):
        yield Problem(("features", "calendar"), "names a part twice")
    if bool(features.holidays) != ("holiday" in features.calendar):
        yield Problem(
            ("features", "holidays"), "goes with 'holiday' in features.calendar: both or neither"
        )
    numeric = [name for name, column in columns.items() if column.type in _NUMERIC]
    for name, ratio in features.ratios.items():
        for part in ("numerator", "denominator"):
            yield from _numeric(("features", "ratios", name, part), getattr(ratio, part), numeric)
    for name, bins in features.bins.items():
        yield from _numeric(("features", "bins", name, "column"), bins.column, numeric)
        if any(low >= high for low, high in itertools.pairwise(bins.edges)):
            yield Problem(("features", "bins", name, "edges"), "must ascend, each above the last")
    for section in ("ratios", "bins"):
        others = set(spec.data.columns) | set(features.ratios if section == "bins" else ())
        for name in getattr(features, section):
            if name in others:
                yield Problem(
                    ("features", section, name), f"{name!r} is a column's or ratio's name"
                )
    if not columns and not features.calendar:
        yield Problem(
            ("data", "columns"), "leaves nothing to learn from: no feature and no calendar"
        )


def _numeric(at: Location, name: str, numeric: Sequence[str]) -> Iterator[Problem]:
    if name not in numeric:
        yield Problem(at, f"{name!r} is no numeric feature column.{_hint(name, numeric)}")


def _training(spec: ModelSpec) -> Iterator[Problem]:
    training, at = spec.training, "training"
    allowed = metrics_for(spec.task)
    if training.metric not in METRICS:
        hint = _hint(training.metric, allowed)
        yield Problem(
            (at, "metric"),
            f"{training.metric[:60]!r} is not known; {spec.task}: {', '.join(allowed)}.{hint}",
        )
    elif training.metric not in allowed:
        yield Problem(
            (at, "metric"),
            f"{training.metric!r} does not fit {spec.task}; use {', '.join(allowed)}",
        )
    for index, name in enumerate(training.estimators):
        place: Location = (at, "estimators", index)
        if name in training.estimators[:index]:
            yield Problem(place, f"{name!r} stands twice")
        elif ":" in name or "." in name:
            if not _BUILDER.match(name):
                yield Problem(
                    place, f"{name[:80]!r} is no builder; one is include.models.<module>:<function>"
                )
        elif name not in ESTIMATORS:
            yield Problem(
                place,
                f"{name[:80]!r} is not known; known are {', '.join(ESTIMATORS)} and "
                f"include.models.<module>:<function>.{_hint(name, list(ESTIMATORS))}",
            )
        elif spec.task not in ESTIMATORS[name]:
            yield Problem(place, f"{name!r} does not fit {spec.task}")
    if training.holdout.days is not None and spec.data.time is None:
        yield Problem((at, "holdout", "days"), "needs data.time; use share without a time column")


def _gates(spec: ModelSpec) -> Iterator[Problem]:
    baseline = spec.gates.naive_baseline
    if baseline is not None and spec.task not in _BASELINES[baseline]:
        yield Problem(("gates", "naive_baseline"), f"{baseline!r} does not fit {spec.task}")
    if baseline == "last_value" and spec.data.time is None:
        yield Problem(("gates", "naive_baseline"), "'last_value' needs data.time")


def _schedules(spec: ModelSpec) -> Iterator[Problem]:
    crons = (
        (("data", "schedule"), spec.data.schedule, MINUTE_S),
        (("retrain", "schedule"), spec.retrain.schedule, 10 * MINUTE_S),
        (("monitoring", "schedule"), spec.monitoring.schedule, MINUTE_S),
    )
    for at, cron, least_s in crons:
        problem = cron_problem(cron, least_s) if cron is not None else None
        if problem:
            yield Problem(at, problem)


def _monitoring(spec: ModelSpec) -> Iterator[Problem]:
    known = [*spec.data.columns, *(c for c in (spec.data.time, spec.data.key) if c)]
    for index, name in enumerate(spec.monitoring.ignore):
        if name not in known:
            yield Problem(
                ("monitoring", "ignore", index), f"{name!r} is no column.{_hint(name, known)}"
            )
