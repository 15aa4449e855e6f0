"""Describes each bad row once: the first rule it broke, the value seen, and the row as it stood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from include.evergreen.stages.ingest.contract_columns import ContractColumn
from include.evergreen.stages.ingest.raw_batch import LINE, ROW_NUMBER, BadLine
from include.evergreen.stages.ingest.read_values import within_calendar, within_day

MAX_VALUE_LENGTH = 200
_TEXTS = ("column", "rule", "value", "reason", "also", "row")
SCHEMA = {"row_number": pl.Int64, **dict.fromkeys(_TEXTS, pl.String)}


@dataclass(frozen=True)
class BrokenRule:
    """Which rows (true) broke one rule of one column."""

    column: ContractColumn
    rule: str
    rows: pl.Series


def describe_rows(raw: pl.DataFrame, broken: Sequence[BrokenRule]) -> pl.DataFrame:
    """One line a row of `raw`, each of which broke a rule. Columns: see `SCHEMA`.

    `broken` is in the order in which rules are named: the first is the row's reason, `also` holds
    the others as `column:rule`.
    """
    marks = pl.DataFrame({str(i): rule.rows for i, rule in enumerate(broken)})
    indices = [pl.when(pl.col(str(i))).then(pl.lit(str(i))) for i in range(len(broken))]
    found = marks.select(
        pl.coalesce(indices).alias("first"),
        pl.concat_str(indices, separator=" ", ignore_nulls=True).str.split(" ").alias("all"),
    )
    names = {str(i): f"{rule.column.name}:{rule.rule}" for i, rule in enumerate(broken)}
    others = pl.element().replace_strict(names, return_dtype=pl.String)
    return found.select(
        raw[ROW_NUMBER].alias("row_number"),
        _word([rule.column.name for rule in broken]).alias("column"),
        _word([rule.rule for rule in broken]).alias("rule"),
        _values(raw, found["first"], broken).alias("value"),
        _word([rule.column.reason(rule.rule) for rule in broken]).alias("reason"),
        pl.col("all").list.slice(1).list.eval(others).list.join(" ").alias("also"),
        _as_json(raw).alias("row"),
    )


def describe_lines(lines: Sequence[BadLine]) -> pl.DataFrame:
    """The same for lines that could not be split into columns."""
    rows = [
        (x.row_number, x.column, x.rule, x.text[:MAX_VALUE_LENGTH], x.reason, "", x.text)
        for x in lines
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _word(words: Sequence[str]) -> pl.Expr:
    mapping = {str(index): word for index, word in enumerate(words)}
    return pl.col("first").replace_strict(mapping, return_dtype=pl.String)


def _values(raw: pl.DataFrame, first: pl.Series, broken: Sequence[BrokenRule]) -> pl.Series:
    """What stands in the column of the first broken rule, as text, shortened."""
    columns = {"first": first}
    chosen: list[pl.Expr] = [pl.lit(None, pl.String)]
    for index, rule in enumerate(broken):
        if rule.column.name in raw.columns:
            columns[str(index)] = _as_text(raw[rule.column.name])
            chosen.append(pl.when(pl.col("first") == str(index)).then(pl.col(str(index))))
    found = pl.DataFrame(columns).select(pl.coalesce(chosen)).to_series()
    return found.str.slice(0, MAX_VALUE_LENGTH)


def _as_json(raw: pl.DataFrame) -> pl.Series:
    """The row as it stood in the file: its line, or all its columns as text."""
    if LINE in raw.columns:
        return raw[LINE]
    return (
        pl.DataFrame([_as_text(column) for column in raw.drop(ROW_NUMBER)])
        .to_struct("row")
        .struct.json_encode()
    )


def _as_text(column: pl.Series) -> pl.Series:
    """ISO 8601 for a time that the calendar or the clock has, and the bare number for another."""
    if not column.dtype.is_temporal():
        return column.cast(pl.String)
    if column.dtype == pl.Duration:
        return column.dt.to_string("iso")
    sane = within_day(column) if column.dtype == pl.Time else within_calendar(column)
    text = sane.dt.to_string("iso:strict")
    return text.zip_with(text.is_not_null(), column.to_physical().cast(pl.String))
