"""CSV as batches of text columns: comma, double quotes, UTF-8, a header of unique names.

Everything is read as text, so that the contract sees what stands in the file. Rows with too many
or too few fields are set aside one by one. Empty fields are null.
"""

from __future__ import annotations

import collections
import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from pyarrow import csv

from include.evergreen.errors import FileRefused
from include.evergreen.spec import FileLimits
from include.evergreen.stages.ingest.raw_batch import (
    LINE,
    ROW_NUMBER,
    BadLine,
    RawBatch,
    too_many_columns,
)

#: One batch is one block of the file. 16 MiB keeps ingest of 2 GB below 1 GB of memory, and is
#: the longest a quoted value may be.
BLOCK_BYTES = 16 * 2**20
#: A header is refused beyond so many bytes for each column allowed.
_NAME_BYTES = 512
_FIELD = re.compile(rb'(?:"[^"]*(?:""[^"]*)*(?:"|\Z)[^,\r\n]*|[^,\r\n]*)')
#: Rows are handed over in slices whose records, with every name in each, stay below this.
_RECORD_BYTES = 64 * 2**20


def read_batches(
    path: Path, uri: str, wanted: Sequence[str], limits: FileLimits
) -> tuple[list[str], Iterator[RawBatch]]:
    """The names in the header, and the rows in batches.

    Raises:
        FileRefused: no header or one too long, duplicate names, not UTF-8, a quote that is never
            closed.
    """
    _check_header(path, uri, limits.max_columns)
    leniently = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    with (
        _refusals(uri),
        csv.open_csv(path, read_options=_options(), parse_options=leniently) as probe,
    ):
        raw_names = probe.schema.names
    names = [name.strip() for name in raw_names]
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise FileRefused(
            "duplicate_columns", f"{uri} has columns of the same name: {', '.join(twice[:10])}."
        )
    if len(names) == 1 and len(wanted) > 1 and (";" in names[0] or "\t" in names[0]):
        raise FileRefused(
            "separator", f"{uri} has one column, {names[0][:80]!r}. Columns are split by commas."
        )
    return names, _rows(path, uri, raw_names, names)


def _rows(path: Path, uri: str, raw_names: list[str], names: list[str]) -> Iterator[RawBatch]:
    bad: list[BadLine] = []

    def set_aside(row: csv.InvalidRow) -> str:
        reason = f"has {row.actual_columns} fields; the header has {row.expected_columns}"
        bad.append(BadLine((row.number or 1) - 1, "", "fields", reason, row.text))
        return "skip"

    numbers = _Numbers()
    slice_rows = max(1, _RECORD_BYTES // sum(len(name) + 8 for name in names))
    with (
        _refusals(uri),
        csv.open_csv(
            path,
            read_options=_options(),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=set_aside),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in raw_names},
                null_values=[""],
                strings_can_be_null=True,
            ),
        ) as reader,
    ):
        for block in reader:
            frame = pl.DataFrame(pa.Table.from_batches([block])).rename(
                dict(zip(raw_names, names, strict=True))
            )
            lines, bad[:] = list(bad), []
            numbers.skip(line.row_number for line in lines)
            frame = frame.drop(LINE, strict=False).with_columns(numbers.take(frame.height))
            yield RawBatch(frame[:slice_rows], lines)
            for start in range(slice_rows, frame.height, slice_rows):
                yield RawBatch(frame[start : start + slice_rows])
    if bad:
        yield RawBatch(
            pl.DataFrame(schema=dict.fromkeys(names, pl.String)).with_columns(
                pl.lit(None, pl.Int64).alias(ROW_NUMBER)
            ),
            bad,
        )


def _check_header(path: Path, uri: str, max_columns: int) -> None:
    """Count the names before the reader, which takes memory for each, sees them."""
    longest = _NAME_BYTES * (max_columns + 1)
    with path.open("rb") as file:
        start = file.read(longest + 1)
    at = len(start) - len(start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"))
    for _ in range(max_columns):
        found = _FIELD.match(start, at)
        at = found.end() + 1 if found else at
        if start[at - 1 : at] != b",":
            break
    else:
        raise too_many_columns(uri, max_columns)
    if at > longest:
        raise FileRefused("header", f"{uri} has no header that ends within {longest:,} bytes.")


class _Numbers:
    """Numbers rows while others are missing: the reader knows the numbers of the skipped only."""

    def __init__(self) -> None:
        self._next = 1
        self._skipped: list[int] = []

    def skip(self, numbers: Iterator[int]) -> None:
        self._skipped.extend(numbers)

    def take(self, count: int) -> pl.Series:
        """The numbers of the next `count` rows. What is skipped before them is known already."""
        if not count:
            return pl.Series(ROW_NUMBER, [], pl.Int64)
        skipped = np.unique(np.asarray(self._skipped, dtype=np.int64))
        everything = np.arange(self._next, self._next + count + len(skipped), dtype=np.int64)
        numbers = np.setdiff1d(everything, skipped, assume_unique=True)[:count]
        self._next = int(numbers[-1]) + 1
        self._skipped = skipped[skipped >= self._next].tolist()
        return pl.Series(ROW_NUMBER, numbers)


def _options() -> csv.ReadOptions:
    # Threads would hide the numbers of the rows that are set aside.
    return csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES)


@contextlib.contextmanager
def _refusals(uri: str) -> Iterator[None]:
    """Turns what the reader says of a broken file into a refusal."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise FileRefused("encoding", f"{uri} is not UTF-8 text: {error.reason}.") from error
    except pa.ArrowInvalid as error:
        said = " ".join(str(error).split())[:300]
        if "Empty CSV" in said:
            raise FileRefused("empty", f"{uri} holds no rows.") from error
        if "UTF8" in said:
            raise FileRefused("encoding", f"{uri} is not UTF-8 text: {said}.") from error
        if "straddl" in said:
            raise FileRefused(
                "quotes", f"{uri} has a quote that is not closed within {BLOCK_BYTES:,} bytes."
            ) from error
        raise FileRefused("parse", f"{uri} cannot be read as CSV: {said}.") from error
