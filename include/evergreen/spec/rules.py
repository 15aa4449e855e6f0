"""The rules between the fields of a spec; `broken_rules` lists each one that is broken."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from include.evergreen.contracts import Task
from include.evergreen.policy.metrics import CLASSIFICATION
from include.evergreen.spec.acceptance import name_problem
from include.evergreen.spec.cron import MINUTE_S, cron_problem
from include.evergreen.spec.document import Location
from include.evergreen.spec.problems import Problem, hint
from include.evergreen.spec.rules_data import NUMERIC, columns, places, roles, target
from include.evergreen.spec.rules_gates import gates, metric
from include.evergreen.spec.rules_release import release

if TYPE_CHECKING:
    from include.evergreen.spec.model import ModelSpec
    from include.evergreen.spec.sections import Column

#: The estimators that need no code of the user's, and the tasks each fits.
ESTIMATORS: dict[str, tuple[Task, ...]] = {
    "hist_gradient_boosting": ("regression", "binary", "multiclass"),
    "random_forest": ("regression", "binary", "multiclass"),
    "ridge": ("regression",),
    "logistic_regression": CLASSIFICATION,
}
_BUILDER = re.compile(r"^include\.models(?:\.[A-Za-z_]\w*)+:[A-Za-z_]\w*$", re.ASCII)


def broken_rules(spec: ModelSpec) -> list[Problem]:
    """Every rule between fields that the spec breaks, empty if none."""
    rules: tuple[Callable[[ModelSpec], Iterator[Problem]], ...] = (
        columns, roles, target, places, _features, _computed,
        _training, _estimators, gates, _retrain, _schedules, _monitoring, _private, _acceptance,
        release,
    )  # fmt: skip
    return list(itertools.chain.from_iterable(rule(spec) for rule in rules))


def _features(spec: ModelSpec) -> Iterator[Problem]:
    features = spec.features
    if features.calendar and spec.data.time is None:
        yield Problem(("features", "calendar"), "needs a time column, and data.time is not set")
    if len(set(features.calendar)) < len(features.calendar):
        yield Problem(("features", "calendar"), "names a part twice")
    if bool(features.holidays) != ("holiday" in features.calendar):
        yield Problem(
            ("features", "holidays"), "goes with 'holiday' in features.calendar: both or neither"
        )
    if not spec.feature_columns and not features.calendar:
        yield Problem(
            ("data", "columns"), "leaves nothing to learn from: no feature and no calendar"
        )


def _computed(spec: ModelSpec) -> Iterator[Problem]:
    features = spec.features
    numeric = [name for name, column in spec.feature_columns.items() if column.type in NUMERIC]
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


def _private(spec: ModelSpec) -> Iterator[Problem]:
    """What a model is joined by stays as it is; a hash of a number would not be a number."""
    known = spec.feature_columns
    for name, how in spec.deployment.prediction_log.private.items():
        at: Location = ("deployment", "prediction_log", "private", name)
        column = known.get(name)
        if column is None:
            yield Problem(at, f"{name!r} is no feature column.{hint(name, list(known))}")
        elif how == "hash" and not _is_text(column):
            yield Problem(at, f"{name!r} is no text, and only a text can be hashed: leave_out")


def _acceptance(spec: ModelSpec) -> Iterator[Problem]:
    name = spec.deployment.acceptance
    problem = name_problem(name) if name is not None else None
    if problem:
        yield Problem(("deployment", "acceptance"), f"{str(name)[:80]!r} {problem}")
    if name is None and spec.deployment.acceptance_mode != "block":
        yield Problem(
            ("deployment", "acceptance_mode"), "says how examples count, and acceptance names none"
        )


def _is_text(column: Column) -> bool:
    values = column.values
    return column.type == "category" and not (values and isinstance(values[0], int))


def _numeric(at: Location, name: str, numeric: Sequence[str]) -> Iterator[Problem]:
    if name not in numeric:
        yield Problem(at, f"{name!r} is no numeric feature column.{hint(name, numeric)}")


def _training(spec: ModelSpec) -> Iterator[Problem]:
    training, at = spec.training, "training"
    yield from metric((at, "metric"), training.metric, spec.task)
    if training.holdout.days is not None and spec.data.time is None:
        yield Problem((at, "holdout", "days"), "needs data.time; use share without a time column")


def _estimators(spec: ModelSpec) -> Iterator[Problem]:
    training = spec.training
    for index, name in enumerate(training.estimators):
        place: Location = ("training", "estimators", index)
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
                f"include.models.<module>:<function>.{hint(name, list(ESTIMATORS))}",
            )
        elif spec.task not in ESTIMATORS[name]:
            yield Problem(place, f"{name!r} does not fit {spec.task}")


def _retrain(spec: ModelSpec) -> Iterator[Problem]:
    windows = spec.retrain.drift_windows
    if windows.n > windows.of:
        yield Problem(
            ("retrain", "drift_windows", "n"), f"{windows.n} of {windows.of} windows cannot drift"
        )


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
                ("monitoring", "ignore", index), f"{name!r} is no column.{hint(name, known)}"
            )
