"""What the readers of files hand over: rows as they stand in the file, and lines that are none."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from include.evergreen.errors import FileRefused

ROW_NUMBER = "_row_number"
#: The line a row came from, where a format has no fixed columns. No column of a file is so named.
LINE = "\x1fline"


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


def too_many_columns(uri: str, max_columns: int) -> FileRefused:
    return FileRefused(
        "too_many_columns",
        f"{uri} has more than {max_columns:,} columns, the most data.limits.max_columns allows.",
    )
