"""Splits rows into those that keep the contract and those that do not, each with its reason.

The rules are dataframely's, built from the spec; nothing is repaired and nothing is guessed. Rules:
`type` (cannot be read), `not_null`, `year`, `finite` (a feature is a float32), `length`, `min`,
`max`, `values`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import dataframely as dy
import polars as pl

from include.evergreen.errors import FileRefused
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.ingest.contract_columns import (
    FIRST_YEAR,
    LAST_YEAR,
    ContractColumn,
    contract_columns,
    some,
)
from include.evergreen.stages.ingest.describe_rows import SCHEMA, BrokenRule, describe_rows
from include.evergreen.stages.ingest.raw_batch import ROW_NUMBER
from include.evergreen.stages.ingest.read_values import PHYSICAL, read_values

_LARGEST = 3.4028234663852886e38
#: Suffix of the column that marks what could not be read; no name of a column can have it.
_UNREADABLE = "\x1funreadable"
_Check = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True)
class Split:
    """A batch, split.

    `good` has the contract's columns, typed, and `ROW_NUMBER`; `bad` is as in `describe_rows`.
    `nulls` are the missing values of each column. `zones` says for each time column whether times
    with (True) and without (False) a zone were seen. `categories` are the values of those
    categories that are not bound to a list.
    """

    good: pl.DataFrame
    bad: pl.DataFrame
    nulls: dict[str, int]
    zones: dict[str, set[bool]] = field(default_factory=dict)
    categories: dict[str, pl.Series] = field(default_factory=dict)


class RowContract:
    """The contract of one model's rows, or of its late labels, ready to split batches."""

    def __init__(self, spec: ModelSpec, kind: Literal["rows", "labels"] = "rows") -> None:
        self.columns = contract_columns(spec, kind)
        self._time_zone = spec.data.time_zone
        self._schema = _schema_of(self.columns)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    @property
    def null_shares(self) -> dict[str, float]:
        """The share of missing values a file may have, of the columns that may miss some."""
        return {c.name: c.null_share for c in self.columns if c.null_share is not None}

    def check_header(self, uri: str, found: list[str]) -> list[str]:
        """The names of extra columns, which are kept out.

        Raises:
            FileRefused: a column of the contract is missing.
        """
        missing = [c.name for c in self.columns if c.name not in found and not c.optional]
        if missing:
            raise FileRefused(
                "missing_column",
                f"{uri} lacks {len(missing)} of the contract's columns: {some(missing)}. It has: "
                f"{some(found)}.",
            )
        return [name for name in found if name not in self.names]

    def split(self, raw: pl.DataFrame) -> Split:
        """Split one batch of raw rows (text or typed), in the order of their numbers.

        Raises:
            FileRefused: a typed column can never hold what the contract wants; or the library that
                computes with the values gave up on them, which must not stop the other files.
        """
        try:
            return self._split(raw)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            said = " ".join(str(error).split())[:300]
            first, last = raw[ROW_NUMBER][0], raw[ROW_NUMBER][-1]
            raise FileRefused(
                "unexpected",
                f"Rows {first} to {last} hold values that could "
                f"not be computed with: {said}. Please report it, with the file.",
            ) from error

    def _split(self, raw: pl.DataFrame) -> Split:
        typed: dict[str, pl.Series] = {ROW_NUMBER: raw[ROW_NUMBER]}
        nulls: dict[str, int] = {}
        zones: dict[str, set[bool]] = {}
        for column in self.columns:
            name = column.name
            stands = raw[name] if name in raw.columns else pl.Series(name, [None] * raw.height)
            values = read_values(stands, column.kind, self._time_zone)
            nulls[name] = int((values.typed.is_null() & ~values.unreadable).sum())
            if values.zoned is not None:
                zones[name] = set(values.zoned.drop_nulls().unique().to_list())
            typed[name] = values.typed
            typed[name + _UNREADABLE] = values.unreadable & (not column.takes_unseen)
        good, failure = self._schema.filter(pl.DataFrame(typed), cast=False)
        return Split(
            good.select(*self.names, ROW_NUMBER),
            self._describe(raw, failure.details()) if len(failure) else pl.DataFrame(schema=SCHEMA),
            nulls,
            zones,
            {c.name: typed[c.name].drop_nulls().unique() for c in self.columns if _is_open(c)},
        )

    def _describe(self, raw: pl.DataFrame, details: pl.DataFrame) -> pl.DataFrame:
        details = details.sort(ROW_NUMBER)
        bad = raw.filter(pl.col(ROW_NUMBER).is_in(details[ROW_NUMBER].implode()))
        broken = []
        for column in self.columns:
            rules = {"type": f"{column.name}{_UNREADABLE}|check__type"}
            rules |= {rule: f"{column.name}|check__{rule}" for rule in _checks_of(column)}
            broken += [
                BrokenRule(column, rule, details[name] == "invalid") for rule, name in rules.items()
            ]
        return describe_rows(bad, broken)


def _is_open(column: ContractColumn) -> bool:
    return column.is_category and column.listed is None


def _schema_of(columns: list[ContractColumn]) -> type[dy.Schema]:
    fields: dict[str, Any] = {"number": dy.Int64(nullable=True, alias=ROW_NUMBER)}
    for index, column in enumerate(columns):
        mark = column.name + _UNREADABLE
        fields[f"mark_{index}"] = dy.Bool(
            nullable=True, alias=mark, check={"type": lambda unreadable: ~unreadable}
        )
        fields[f"column_{index}"] = _field_of(column)
    return type("Contract", (dy.Schema,), fields)


def _field_of(column: ContractColumn) -> Any:
    shared: dict[str, Any] = {
        "nullable": True,  # `not_null` is a rule of ours: what cannot be read breaks `type` only
        "alias": column.name,
        "check": _checks_of(column),
    }
    match PHYSICAL[column.kind]:
        case pl.Datetime():
            return dy.Datetime(time_zone="UTC", time_unit="us", **shared)
        case pl.Float64():
            return dy.Float64(allow_inf=True, **shared)
        case pl.Int64():
            return dy.Int64(**shared)
        case pl.Boolean():
            return dy.Bool(**shared)
        case _:
            return dy.String(**shared)


def _checks_of(column: ContractColumn) -> dict[str, _Check]:
    """Our rules of one column, in the order in which they are named."""
    checks: dict[str, _Check] = {}
    rules, listed = column.rules, column.listed
    if not column.nullable:
        mark = pl.col(column.name + _UNREADABLE)
        checks["not_null"] = lambda value: value.is_not_null() | mark
    if column.kind == "timestamp":
        checks["year"] = lambda time: (
            time.dt.year().is_between(FIRST_YEAR, LAST_YEAR).fill_null(time.is_null())
        )
    if column.kind == "float":
        checks["finite"] = lambda number: number.abs() <= _LARGEST
    if PHYSICAL[column.kind] == pl.String:
        checks["length"] = _no_longer_than(column.max_length)
    if rules is not None and rules.min is not None:
        checks["min"] = _at_least(rules.min)
    if rules is not None and rules.max is not None:
        checks["max"] = _at_most(rules.max)
    if listed is not None:
        checks["values"] = lambda value: value.is_in(list(listed))
    return checks


def _no_longer_than(most: int) -> _Check:
    return lambda text: text.str.len_chars() <= most


def _at_least(least: float) -> _Check:
    return lambda number: number >= least


def _at_most(most: float) -> _Check:
    return lambda number: number <= most
