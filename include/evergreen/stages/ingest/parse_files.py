"""Reads CSV, Parquet and JSON Lines in batches of bounded size, with the number of every row.

A batch holds the columns as they stand in the file: text for CSV and JSON Lines, typed for
Parquet. What cannot even be split into columns comes as a `BadLine`; what makes the file as a
whole unusable raises `FileRefused`. Row numbers count from 1: rows after the header in CSV, rows
in Parquet, lines in JSON Lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from include.evergreen.errors import FileRefused
from include.evergreen.spec import FileLimits
from include.evergreen.stages.ingest import parse_csv, parse_jsonl, parse_parquet
from include.evergreen.stages.ingest.file_content import too_large, unpack
from include.evergreen.stages.ingest.raw_batch import LINE, ROW_NUMBER, RawBatch

__all__ = ["LINE", "ROW_NUMBER", "ParsedFile", "RawBatch", "parse_file"]

_Reader = Callable[[Path, str, Sequence[str], FileLimits], tuple[list[str], Iterator[RawBatch]]]
_READERS: dict[str, _Reader] = {
    "csv": parse_csv.read_batches,
    "jsonl": parse_jsonl.read_batches,
    "parquet": parse_parquet.read_batches,
}


@dataclass(frozen=True)
class ParsedFile:
    """A file opened for reading: its column names, and its batches, to be read once."""

    columns: list[str]
    batches: Iterator[RawBatch]


def parse_file(
    path: Path,
    *,
    uri: str,
    data_format: str,
    wanted: Sequence[str],
    limits: FileLimits,
) -> ParsedFile:
    """Open a private copy of a landed file. `uri` is for messages and its extension only.

    Args:
        path: the copy; a decompressed one is put beside it.
        uri: where it landed.
        data_format: csv, parquet or jsonl.
        wanted: the columns the contract knows.
        limits: of bytes (after decompression), rows and columns; one more is a refusal, and
            nothing is read after it.

    Raises:
        FileRefused: also while the batches are read.
    """
    plain = unpack(path, uri, data_format, limits.max_bytes)
    if data_format == "parquet":
        rows, size = parse_parquet.claimed_rows(plain, uri)
        if rows > limits.max_rows:
            raise _too_many(uri, limits.max_rows)
        if size > limits.max_bytes:
            raise too_large(uri, limits.max_bytes)
    columns, batches = _READERS[data_format](plain, uri, wanted, limits)
    return ParsedFile(columns, _counted(batches, uri, limits.max_rows))


def _counted(batches: Iterator[RawBatch], uri: str, max_rows: int) -> Iterator[RawBatch]:
    rows = 0
    for batch in batches:
        rows += batch.frame.height + len(batch.bad_lines)
        if rows > max_rows:
            raise _too_many(uri, max_rows)
        yield batch


def _too_many(uri: str, max_rows: int) -> FileRefused:
    return FileRefused(
        "too_many_rows",
        f"{uri} has more than {max_rows:,} rows, the most data.limits.max_rows allows.",
    )
