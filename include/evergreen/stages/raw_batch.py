"""What the readers of files hand over: rows as they stand in the file, and lines that are none."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

ROW_NUMBER = "_row_number"
#: The line a row came from, where a format has no fixed columns.
LINE = "_line"


@dataclass(frozen=True)
class BadLine:
    """A row that could not be split into columns: its number, what is wrong, and its text."""

    row_number: int
    column: str
    rule: str
    reason: str
    text: str


@dataclass(frozen=True)
class RawBatch:
    """Some rows of a file. `frame` has the file's columns and `ROW_NUMBER` (Int64)."""

    frame: pl.DataFrame
    bad_lines: list[BadLine] = field(default_factory=list)
