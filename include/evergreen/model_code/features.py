"""Turns raw columns into the matrix a model sees: the same code in training, batch and serving.

A copy of this file travels in every model's bundle, so it imports the standard library and numpy
only. What to compute stands in a plan (see `plan.py`), which is plain JSON; the result depends on
the rows and the plan alone. Missing is NaN.
"""

from __future__ import annotations

import bisect
import datetime as dt
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Plan = dict[str, Any]

PLAN_FORMAT = 1
#: Trees of scikit-learn take at most this many codes as a category; more are ordinal numbers.
MAX_TREE_CATEGORIES = 254
LARGEST = float(np.finfo(np.float32).max)

PERIODS = {
    "hour": 24, "weekday": 7, "month": 12, "day_of_month": 31, "day_of_year": 366, "week": 53,
}  # fmt: skip
_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
FIRST_YEAR, LAST_YEAR = 1900, 2199
LONGEST_TIME = 60
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_NAIVE_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - the origin of local times
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()


def feature_names(plan: Plan) -> list[str]:
    """The name of each column of the matrix, in order."""
    return [name for step in plan["steps"] for name in step["names"]]


def categorical_indices(plan: Plan) -> list[int]:
    """Which columns of the matrix hold the codes of a category (never for a linear model)."""
    names = feature_names(plan)
    return [
        names.index(step["names"][0])
        for step in plan["steps"]
        if step["kind"] == "category" and len(step["categories"]) <= MAX_TREE_CATEGORIES
    ]


def transform(columns: Mapping[str, Any], plan: Plan) -> Matrix:
    """The matrix of these rows; see `Features.transform`, which is faster when called often."""
    return Features(plan).transform(columns)


class Features:
    """A plan made ready: lookups are built once, so that one row costs microseconds."""

    def __init__(self, plan: Plan) -> None:
        if plan.get("format") != PLAN_FORMAT:
            raise ValueError(
                f"This feature code reads plans of format {PLAN_FORMAT}, not {plan.get('format')}."
            )
        self.names = feature_names(plan)
        self.categorical_indices = categorical_indices(plan)
        self._time = plan["time"]["column"]
        self._parts = any(step["kind"] == "calendar" for step in plan["steps"])
        self._offsets_at = np.array(plan["time"]["offsets_at"], dtype=np.int64) * 1_000_000
        self._offsets_us = np.array(plan["time"]["offsets_s"], dtype=np.int64) * 1_000_000
        days = [dt.date.fromisoformat(day).toordinal() - _EPOCH_DAY for day in plan["holidays"]]
        self._holidays = np.array(days, dtype=np.int64)
        self._start_day = int(plan["start_day"])
        self._steps: list[tuple[slice, Callable[[Mapping[str, Any], Calendar | None], Any]]] = []
        at = 0
        for step in plan["steps"]:
            width = len(step["names"])
            place = slice(at, at + width)
            self._steps.append((place, _STEPS[step["kind"]](step)))
            at += width

    def transform(self, columns: Mapping[str, Any]) -> Matrix:
        """The matrix of these rows: [n_rows, n_features] float32, finite or NaN for missing.

        Args:
            columns: raw columns of one length. Numbers and booleans as anything numpy makes
                float64 of (None is missing), categories as a sequence of their values, the time
                as datetime64[us] in UTC.
        """
        n_rows = len(next(iter(columns.values())))
        calendar = self._calendar(columns) if self._parts else None
        wide = np.empty((n_rows, len(self.names)), dtype=np.float64)
        for place, compute in self._steps:
            values = compute(columns, calendar)
            if place.stop - place.start == 1:
                wide[:, place.start] = values
            else:
                wide[:, place] = values
        # Beyond float32 a number would become infinite, which no estimator takes.
        np.clip(wide, -LARGEST, LARGEST, out=wide)
        return wide.astype(np.float32)

    def _calendar(self, columns: Mapping[str, Any]) -> Calendar:
        utc = np.asarray(columns[self._time], dtype="datetime64[us]")
        missing = np.isnat(utc)
        micros = np.where(missing, 0, utc.astype(np.int64))
        if self._offsets_at.size:
            index = np.searchsorted(self._offsets_at, micros, side="right") - 1
            micros = micros + self._offsets_us[np.maximum(index, 0)]
        elif self._offsets_us.size:
            micros = micros + self._offsets_us[0]
        return Calendar(micros, missing, self._holidays, self._start_day)


class Calendar:
    """The parts of local times, each computed when first asked for."""

    def __init__(
        self,
        micros: npt.NDArray[np.int64],
        missing: npt.NDArray[np.bool_],
        holidays: npt.NDArray[np.int64],
        start_day: int,
    ) -> None:
        self._micros = micros
        self._missing = missing
        self._holidays = holidays
        self._start_day = start_day

    def part(self, name: str) -> Floats:
        """One part as float64: weekday 0 is Monday, hour has a fraction, week is ISO's."""
        values = np.asarray(getattr(self, f"_{name}")(), dtype=np.float64)
        return np.where(self._missing, np.nan, values)

    @functools.cached_property
    def _days(self) -> npt.NDArray[np.int64]:
        return self._micros // _DAY_US

    def _hour(self) -> Any:
        return (self._micros % _DAY_US) / _HOUR_US

    def _weekday(self) -> Any:
        return (self._days + 3) % 7

    def _month(self) -> Any:
        return _starts(self._days, "M").astype(np.int64) % 12 + 1

    def _day_of_month(self) -> Any:
        return self._days - _first_day(self._days, "M") + 1

    def _day_of_year(self) -> Any:
        return self._days - _first_day(self._days, "Y") + 1

    def _week(self) -> Any:
        thursday = self._days - self._weekday() + 3
        return (thursday - _first_day(thursday, "Y")) // 7 + 1

    def _year(self) -> Any:
        return _starts(self._days, "Y").astype(np.int64) + 1970

    def _holiday(self) -> Any:
        return np.isin(self._days, self._holidays)

    def _days_since_start(self) -> Any:
        return self._micros / _DAY_US - self._start_day


class LocalTimes:
    """Reads ISO 8601 times; one without a zone is in the contract's, the earlier if ambiguous."""

    def __init__(self, time: Mapping[str, Any]) -> None:
        self._at: list[int] = time["offsets_at"]
        self._offsets: list[int] = time["offsets_s"]
        self.allowed = (
            f"an ISO 8601 time, {FIRST_YEAR} to {LAST_YEAR}, in {time['zone']} if it names no zone"
        )

    def micros(self, value: Any) -> int | None:
        """Microseconds since 1970 in UTC; None if it is no such time."""
        if type(value) is not str or len(value) > LONGEST_TIME:
            return None
        try:
            time = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        if not FIRST_YEAR <= time.year <= LAST_YEAR:
            return None
        if time.tzinfo is not None:
            return (time - _EPOCH) // _MICROSECOND
        local = (time - _NAIVE_EPOCH) // _MICROSECOND
        return local - self._offset(local // 1_000_000) * 1_000_000

    def _offset(self, local_s: int) -> int:
        if not self._offsets:
            return 0
        nearby = bisect.bisect_right(self._at, local_s)
        candidates = range(max(nearby - 2, 0), min(nearby + 2, len(self._at)))
        before = self._offsets[candidates[0]]
        for index in candidates:
            utc = local_s - self._offsets[index]
            starts = index == 0 or self._at[index] <= utc
            ends = index + 1 == len(self._at) or utc < self._at[index + 1]
            if starts and ends:
                return self._offsets[index]
            if starts:
                before = self._offsets[index]
        return before


def _starts(days: npt.NDArray[np.int64], unit: str) -> Any:
    return days.astype("datetime64[D]").astype(f"datetime64[{unit}]")


def _first_day(days: npt.NDArray[np.int64], unit: str) -> npt.NDArray[np.int64]:
    first: npt.NDArray[np.int64] = _starts(days, unit).astype("datetime64[D]").astype(np.int64)
    return first


def _number(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)


def _codes(values: Iterable[Any], codes: Mapping[Any, float], n_rows: int) -> Floats:
    nan = np.nan
    return np.fromiter((codes.get(value, nan) for value in values), np.float64, count=n_rows)


def _indicator(codes: Floats, width: int) -> Floats:
    hit: Floats = (codes[:, None] == np.arange(width)).astype(np.float64)
    return hit


def _number_step(step: Mapping[str, Any]) -> Any:
    column = step["column"]
    return lambda columns, _: _number(columns[column])


def _category_step(step: Mapping[str, Any]) -> Any:
    column, codes = step["column"], _lookup(step["categories"])
    return lambda columns, _: _codes(columns[column], codes, len(columns[column]))


def _one_hot_step(step: Mapping[str, Any]) -> Any:
    codes, width = _category_step(step), len(step["names"])
    return lambda columns, calendar: _indicator(codes(columns, calendar), width)


def _lookup(categories: Sequence[Any]) -> dict[Any, float]:
    return {category: float(code) for code, category in enumerate(categories)}


def _calendar_step(step: Mapping[str, Any]) -> Any:
    part = step["part"]
    if not step["cyclical"]:
        return lambda _, calendar: calendar.part(part)
    turn = 2 * np.pi / PERIODS[part]

    def circle(_: Mapping[str, Any], calendar: Calendar) -> Floats:
        angle = calendar.part(part) * turn
        return np.column_stack((np.sin(angle), np.cos(angle)))

    return circle


def _ratio_step(step: Mapping[str, Any]) -> Any:
    numerator, denominator = step["numerator"], step["denominator"]

    def ratio(columns: Mapping[str, Any], _: Calendar | None) -> Floats:
        below = _number(columns[denominator])
        with np.errstate(over="ignore", under="ignore"):
            quotient: Floats = _number(columns[numerator]) / np.where(below == 0, np.nan, below)
        return quotient

    return ratio


def _bins_step(step: Mapping[str, Any]) -> Any:
    column, edges = step["column"], np.array(step["edges"], dtype=np.float64)
    width = len(step["names"])

    def bins(columns: Mapping[str, Any], _: Calendar | None) -> Floats:
        values = _number(columns[column])
        codes = np.searchsorted(edges, values, side="right").astype(np.float64)
        codes = np.where(np.isnan(values), np.nan, codes)
        return _indicator(codes, width) if step["one_hot"] else codes

    return bins


_STEPS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "number": _number_step,
    "category": _category_step,
    "one_hot": _one_hot_step,
    "calendar": _calendar_step,
    "ratio": _ratio_step,
    "bins": _bins_step,
}
