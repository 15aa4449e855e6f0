"""Prepares one row without arrays: what the row contract and the features do, value by value.

Most requests hold one row, and for one row an array costs more than what is computed with it. A
row that is not plainly right is given back: the way for many rows says what is wrong with it. Both
ways give the same float32 numbers, bit for bit. A copy of this file travels in every model's
bundle, so it imports the standard library and numpy only.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

LARGEST = float(np.finfo(np.float32).max)
LONGEST_TEXT = 4096
_NAN = float("nan")
_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
#: What a check answers for a value that is not plainly right; None is a missing value.
_BAD = object()

Row = Mapping[str, Any]
Check = Callable[[Any], Any]
#: Appends a step's numbers to the row's.
Step = Callable[[Row, "LocalTime", list[float]], None]


class Times(Protocol):
    """Reads times: `features.LocalTimes`."""

    def micros(self, value: Any) -> int | None:
        """Microseconds since 1970 in UTC; None if it is no time."""


class OneRow:
    """A contract and a feature plan, made ready for rows that come alone."""

    def __init__(
        self, contract: Mapping[str, Any], plan: Mapping[str, Any], times: Times, periods: Row
    ) -> None:
        self._required = {
            name: _check(column, times) for name, column in contract["columns"].items()
        }
        self._optional = {
            name: _check(column, times) for name, column in contract.get("optional", {}).items()
        }
        self._zone = _Zone(plan["time"])
        self._time = plan["time"]["column"]
        self._needs_time = any(step["kind"] == "calendar" for step in plan["steps"])
        self._holidays = {
            dt.date.fromisoformat(day).toordinal() - _EPOCH_DAY for day in plan["holidays"]
        }
        self._start_day = int(plan["start_day"])
        self._steps: list[Step] = []
        for step in plan["steps"]:
            self._steps.append(_STEPS[step["kind"]](step, periods))

    def typed(self, raw: Row) -> dict[str, Any] | None:
        """The row's values as the model takes them, None where one is missing.

        Numbers and booleans come as numbers, categories in the contract's own spelling, keys as
        text, times as microseconds since 1970 in UTC. None instead of the row: it is not plainly
        right.
        """
        row = {}
        for name, check in self._required.items():
            if name not in raw:
                return None
            value = check(raw[name])
            if value is _BAD:
                return None
            row[name] = value
        if len(raw) > len(row):
            for name, check in self._optional.items():
                if name in raw:
                    value = check(raw[name])
                    if value is _BAD:
                        return None
                    row[name] = value
        return row if len(row) == len(raw) else None

    def matrix(self, row: Row) -> Any:
        """[1, n_features] float32 of a typed row, as `features.Features.transform` makes it."""
        time = LocalTime(
            self._zone.local(row[self._time]) if self._needs_time else None,
            self._holidays,
            self._start_day,
        )
        numbers: list[float] = []
        for append in self._steps:
            append(row, time, numbers)
        return np.array((numbers,), dtype=np.float32)


# --- the contract -------------------------------------------------------------------------------


def _check(column: Mapping[str, Any], times: Times) -> Check:
    kind = column["type"]
    if kind == "category":
        return _category(column) if column["values"] is not None else _text(column)
    if kind == "timestamp":
        return _instant(column, times)
    if kind == "key":
        return _key
    return _boolean(column) if kind == "boolean" else _number(column, whole=kind == "integer")


def _number(column: Mapping[str, Any], *, whole: bool) -> Check:
    least, most = column.get("min"), column.get("max")
    low = -LARGEST if least is None else float(least)
    high = LARGEST if most is None else float(most)
    missing = None if column.get("nullable") else _BAD

    def check(value: Any) -> Any:
        if type(value) is not float and type(value) is not int:
            return missing if value is None else _BAD
        if not low <= value <= high or (whole and value % 1):
            return _BAD
        return float(value)

    return check


def _boolean(column: Mapping[str, Any]) -> Check:
    missing = None if column.get("nullable") else _BAD

    def check(value: Any) -> Any:
        if value is None:
            return missing
        return value if type(value) in (bool, int, float) and value in (0, 1) else _BAD

    return check


def _category(column: Mapping[str, Any]) -> Check:
    values = {value: value for value in column["values"]}
    as_missing = column.get("unseen") == "as_missing"
    unseen = None if as_missing else _BAD
    missing = None if as_missing or column.get("nullable") else _BAD

    def check(value: Any) -> Any:
        if value is None:
            return missing
        # JSON's true equals 1 and is no category.
        if type(value) is str or type(value) is int:
            return values.get(value, unseen)
        return _BAD

    return check


def _text(column: Mapping[str, Any]) -> Check:
    missing = None if column.get("nullable") else _BAD

    def check(value: Any) -> Any:
        if type(value) is str and len(value) <= LONGEST_TEXT:
            return value
        return missing if value is None else _BAD

    return check


def _instant(column: Mapping[str, Any], times: Times) -> Check:
    missing = None if column.get("nullable") else _BAD
    read = times.micros

    def check(value: Any) -> Any:
        if value is None:
            return missing
        micros = read(value)
        return _BAD if micros is None else micros

    return check


def _key(value: Any) -> Any:
    if type(value) is str:
        return value if len(value) <= LONGEST_TEXT else _BAD
    return None if value is None else _BAD


# --- the features -------------------------------------------------------------------------------


class _Zone:
    """Local time of a zone, from the table of its offsets that the plan holds."""

    def __init__(self, time: Mapping[str, Any]) -> None:
        self._at: list[int] = [second * 1_000_000 for second in time["offsets_at"]]
        self._offsets: list[int] = [second * 1_000_000 for second in time["offsets_s"]]

    def local(self, micros: int | None) -> int | None:
        if micros is None or not self._offsets:
            return micros
        index = bisect_right(self._at, micros) - 1 if self._at else 0
        return micros + self._offsets[max(index, 0)]


class LocalTime:
    """One local time (None where it is missing) and its parts."""

    __slots__ = ("_date", "_day", "_holidays", "_micros", "_start_day")

    def __init__(self, micros: int | None, holidays: set[int], start_day: int) -> None:
        self._micros = micros
        self._holidays = holidays
        self._start_day = start_day
        self._day = 0 if micros is None else micros // _DAY_US
        self._date: dt.date | None = None

    def part(self, name: str) -> float:
        """One part, NaN where the time is missing."""
        if self._micros is None:
            return _NAN
        return float(_PARTS[name](self))

    @property
    def date(self) -> dt.date:
        if self._date is None:
            self._date = dt.date.fromordinal(self._day + _EPOCH_DAY)
        return self._date

    def hour(self) -> float:
        return (self._micros or 0) % _DAY_US / _HOUR_US

    def weekday(self) -> int:
        return (self._day + 3) % 7

    def month(self) -> int:
        return self.date.month

    def day_of_month(self) -> int:
        return self.date.day

    def day_of_year(self) -> int:
        return self.date.timetuple().tm_yday

    def week(self) -> int:
        return self.date.isocalendar()[1]

    def year(self) -> int:
        return self.date.year

    def holiday(self) -> bool:
        return self._day in self._holidays

    def days_since_start(self) -> float:
        return (self._micros or 0) / _DAY_US - self._start_day


_PARTS: dict[str, Callable[[LocalTime], float]] = {
    "hour": LocalTime.hour,
    "weekday": LocalTime.weekday,
    "month": LocalTime.month,
    "day_of_month": LocalTime.day_of_month,
    "day_of_year": LocalTime.day_of_year,
    "week": LocalTime.week,
    "year": LocalTime.year,
    "holiday": LocalTime.holiday,
    "days_since_start": LocalTime.days_since_start,
}


def _number_step(step: Mapping[str, Any], _: Row) -> Step:
    column = step["column"]

    def append(row: Row, _: LocalTime, numbers: list[float]) -> None:
        value = row[column]
        numbers.append(_NAN if value is None else value)

    return append


def _codes(step: Mapping[str, Any]) -> dict[Any, float]:
    return {category: float(code) for code, category in enumerate(step["categories"])}


def _category_step(step: Mapping[str, Any], _: Row) -> Step:
    column, codes = step["column"], _codes(step)

    def append(row: Row, _: LocalTime, numbers: list[float]) -> None:
        numbers.append(codes.get(row[column], _NAN))

    return append


def _one_hot_step(step: Mapping[str, Any], _: Row) -> Step:
    column, codes, width = step["column"], _codes(step), len(step["names"])

    def append(row: Row, _: LocalTime, numbers: list[float]) -> None:
        numbers.extend(_indicator(codes.get(row[column], _NAN), width))

    return append


def _indicator(code: float, width: int) -> Sequence[float]:
    return [1.0 if code == index else 0.0 for index in range(width)]


def _calendar_step(step: Mapping[str, Any], periods: Row) -> Step:
    part = step["part"]
    if not step["cyclical"]:

        def append_part(_: Row, time: LocalTime, numbers: list[float]) -> None:
            numbers.append(time.part(part))

        return append_part
    turn = 2 * np.pi / periods[part]

    def append_circle(_: Row, time: LocalTime, numbers: list[float]) -> None:
        angle = time.part(part) * turn
        # Of numpy, as for many rows: the last bit of another library's sine may differ.
        numbers.extend((float(np.sin(angle)), float(np.cos(angle))))

    return append_circle


def _ratio_step(step: Mapping[str, Any], _: Row) -> Step:
    above, below = step["numerator"], step["denominator"]

    def append(row: Row, _: LocalTime, numbers: list[float]) -> None:
        numerator, denominator = row[above], row[below]
        if numerator is None or not denominator:
            numbers.append(_NAN)
            return
        quotient = float(numerator) / float(denominator)
        numbers.append(min(max(quotient, -LARGEST), LARGEST))

    return append


def _bins_step(step: Mapping[str, Any], _: Row) -> Step:
    column, edges = step["column"], [float(edge) for edge in step["edges"]]
    width = len(step["names"])
    one_hot = step["one_hot"]

    def append(row: Row, _: LocalTime, numbers: list[float]) -> None:
        value = row[column]
        code = _NAN if value is None else float(bisect_right(edges, value))
        if one_hot:
            numbers.extend(_indicator(code, width))
        else:
            numbers.append(code)

    return append


_STEPS: dict[str, Callable[[Mapping[str, Any], Row], Step]] = {
    "number": _number_step,
    "category": _category_step,
    "one_hot": _one_hot_step,
    "calendar": _calendar_step,
    "ratio": _ratio_step,
    "bins": _bins_step,
}
