"""Turns the raw JSON values of a request into typed columns, or names every field that is wrong.

A copy of this file travels in every model's bundle, so it imports the standard library and numpy
only. A field problem says what was seen and what is allowed; one problem a column, with the first
bad row and the number of bad rows. A clean column costs a few C loops, not a Python one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

#: The features are float32: a number beyond it has no meaning to the model.
LARGEST = float(np.finfo(np.float32).max)
LONGEST_TEXT = 4096
_SHOWN = 60
_NONE = type(None)
_NOT_A_TIME = np.iinfo(np.int64).min


class Times(Protocol):
    """Reads times: `features.LocalTimes`, whose zone is the contract's."""

    allowed: str

    def micros(self, value: Any) -> int | None:
        """Microseconds since 1970 in UTC; None if it is no time."""


@dataclass(frozen=True)
class FieldProblem:
    """One column of a request that breaks the contract; `rows` of its rows do, `row` first."""

    field: str
    seen: str
    allowed: str
    row: int | None = None
    rows: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class InvalidRows(ValueError):
    """The rows break the contract; `problems` names every field that does."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        shown = "; ".join(
            f"'{p.field}': seen {p.seen}, allowed {p.allowed}" for p in self.problems[:10]
        )
        super().__init__(f"{len(self.problems)} fields break the contract: {shown}")


class RowContract:
    """The contract of one model's rows, made ready to check them."""

    def __init__(self, contract: Mapping[str, Any], times: Times) -> None:
        self.required: dict[str, ColumnContract] = {}
        self.optional: dict[str, ColumnContract] = {}
        for group, columns in (
            (self.required, contract["columns"]),
            (self.optional, contract.get("optional", {})),
        ):
            for name, column in columns.items():
                group[name] = ColumnContract(name, column, times)

    def parse(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Typed columns of these raw ones: float64 arrays, lists of categories, datetime64[us].

        Numbers and booleans become float64 with NaN for missing, categories and keys lists with
        None for missing, timestamps datetime64[us] in UTC. Optional columns are kept if given.

        Raises:
            InvalidRows: a column is missing, unknown, of unequal length, or has a bad value.
        """
        problems: list[FieldProblem] = []
        parsed: dict[str, Any] = {}
        lengths = {len(values) for values in columns.values()}
        if len(lengths) > 1:
            seen = f"lengths {', '.join(map(str, sorted(lengths)[:10]))}"
            raise InvalidRows([FieldProblem("(all)", seen, "columns of one length")])
        if lengths == {0}:
            raise InvalidRows([FieldProblem("(all)", "no rows", "at least one row")])
        for name, checker in self.required.items():
            if name in columns:
                self._take(checker, columns[name], parsed, problems)
            else:
                problems.append(FieldProblem(name, "nothing: it is missing", checker.allowed))
        for name, checker in self.optional.items():
            if name in columns:
                self._take(checker, columns[name], parsed, problems)
        if len(columns) > len(parsed):
            problems += self._unknown(columns)
        if problems:
            raise InvalidRows(problems)
        return parsed

    @staticmethod
    def _take(
        checker: ColumnContract,
        values: Sequence[Any],
        parsed: dict[str, Any],
        problems: list[FieldProblem],
    ) -> None:
        typed = checker.typed(values)
        if isinstance(typed, FieldProblem):
            problems.append(typed)
        else:
            parsed[checker.name] = typed

    def _unknown(self, columns: Iterable[str]) -> list[FieldProblem]:
        allowed = f"only {_some([*self.required, *self.optional])}"
        return [
            FieldProblem(_short(name), "a field the contract does not have", allowed)
            for name in columns
            if name not in self.required and name not in self.optional
        ]


class ColumnContract:
    """One column of the contract: `typed` gives the column, or what is wrong with it."""

    def __init__(self, name: str, column: Mapping[str, Any], times: Times) -> None:
        self.name = name
        self.kind = str(column["type"])
        self.nullable = bool(column.get("nullable"))
        self._least = _bound(column.get("min"), -LARGEST)
        self._most = _bound(column.get("max"), LARGEST)
        values = column.get("values")
        self._values = None if values is None else {value: value for value in values}
        self._unseen_is_missing = column.get("unseen") == "as_missing"
        self._times = times
        self.allowed = self._describe(column)
        self.typed: Callable[[Sequence[Any]], Any] = {
            "float": self._numbers,
            "integer": self._numbers,
            "boolean": self._numbers,
            "category": self._categories,
            "timestamp": self._instants,
            "key": self._keys,
        }[self.kind]

    def _describe(self, column: Mapping[str, Any]) -> str:
        if self.kind == "category" and self._values is not None:
            what = f"one of {_some(column['values'])}"
            what += ", anything else is taken as missing" if self._unseen_is_missing else ""
        elif self.kind in ("float", "integer"):
            what = "a whole number" if self.kind == "integer" else "a finite number"
            low, high = column.get("min"), column.get("max")
            if low is not None and high is not None:
                what += f" from {low:g} to {high:g}"
            elif low is not None or high is not None:
                what += f" of at least {low:g}" if low is not None else f" of at most {high:g}"
        else:
            what = {
                "boolean": "true or false",
                "category": "a text",
                "timestamp": self._times.allowed,
                "key": "a text or a whole number",
            }[self.kind]
        return what + (", or null" if self.nullable else "")

    def _numbers(self, values: Sequence[Any]) -> Any:
        types = set(map(type, values))
        missing = _NONE in types
        if types - {_NONE} <= _NUMBER_TYPES[self.kind] and (self.nullable or not missing):
            try:
                array = np.array(values, dtype=np.float64)
            except OverflowError:
                return self._first_bad(values, self._is_bad_number)
            if self._within(array, values.count(None) if missing else 0):
                return array
        return self._first_bad(values, self._is_bad_number)

    def _within(self, array: Any, n_missing: int) -> bool:
        known = array[~np.isnan(array)] if n_missing else array
        if known.size + n_missing != array.size:
            return False
        if not known.size:
            return True
        if not (known.min() >= self._least and known.max() <= self._most):
            return False
        if self.kind == "boolean":
            return bool(((known == 0) | (known == 1)).all())
        return self.kind == "float" or bool((known == np.floor(known)).all())

    def _is_bad_number(self, value: Any) -> bool:
        if value is None:
            return not self.nullable
        if type(value) not in _NUMBER_TYPES[self.kind]:
            return True
        if not self._least <= value <= self._most:
            return True
        if self.kind == "boolean":
            return value not in (0, 1)
        return self.kind == "integer" and value != math.floor(value)

    def _categories(self, values: Sequence[Any]) -> Any:
        if self._values is None:
            if any(map(self._is_bad_text, values)):
                return self._first_bad(values, self._is_bad_text)
            return list(values)
        allowed = self._values
        # JSON's true equals 1 and 1.0 equals 1: types are checked apart, values made canonical.
        clean = set(map(type, values)) <= _PLAIN and allowed.keys() >= set(values)
        if not clean and any(map(self._is_bad_category, values)):
            return self._first_bad(values, self._is_bad_category)
        return [allowed.get(value) for value in values]

    def _is_bad_category(self, value: Any) -> bool:
        if value is None:
            return not (self.nullable or self._unseen_is_missing)
        if type(value) not in _PLAIN or (type(value) is float and not math.isfinite(value)):
            return True
        return not (self._unseen_is_missing or value in (self._values or ()))

    def _is_bad_text(self, value: Any) -> bool:
        if value is None:
            return not self.nullable
        return type(value) is not str or len(value) > LONGEST_TEXT

    def _keys(self, values: Sequence[Any]) -> Any:
        if any(map(_is_bad_key, values)):
            return self._first_bad(values, _is_bad_key)
        return [None if value is None else str(value) for value in values]

    def _instants(self, values: Sequence[Any]) -> Any:
        read = self._times.micros
        micros = [_NOT_A_TIME if value is None else read(value) for value in values]
        if None in micros or (not self.nullable and None in values):
            return self._first_bad(values, self._is_bad_time)
        return np.array(micros, dtype=np.int64).view("datetime64[us]")

    def _is_bad_time(self, value: Any) -> bool:
        if value is None:
            return not self.nullable
        return self._times.micros(value) is None

    def _first_bad(self, values: Sequence[Any], is_bad: Callable[[Any], bool]) -> FieldProblem:
        bad = [index for index, value in enumerate(values) if is_bad(value)]
        return FieldProblem(self.name, _seen(values[bad[0]]), self.allowed, bad[0], len(bad))


_PLAIN = {str, int, float}
_NUMBER_TYPES: dict[str, set[type]] = {
    "float": {float, int},
    "integer": {float, int},
    "boolean": {bool, int, float},
}


def _bound(value: float | None, default: float) -> float:
    return default if value is None else float(value)


def _is_bad_key(value: Any) -> bool:
    if type(value) is str:
        return len(value) > LONGEST_TEXT
    return value is not None and type(value) is not int


def _seen(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a whole number beyond what the model computes with"
    if isinstance(value, str | int | float):
        return _short(repr(value))
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return type(value).__name__


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _some(values: Iterable[Any]) -> str:
    listed = [str(value) for value in values]
    more = f" and {len(listed) - 10} more" if len(listed) > 10 else ""  # noqa: PLR2004
    return ", ".join(listed[:10]) + more
