"""Reads a file a person points at into a frame from which a spec can be inferred.

CSV columns come as text, so that what the file really says is judged, not a library's guess of
it. Parquet and JSONL keep their types. Gzip is taken in every format.
"""

from __future__ import annotations

import collections
import csv
import gzip
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from include.evergreen.errors import InputError

MAX_ROWS = 1_000_000
#: Rows times columns: a text cell costs about 60 bytes, so this is about 1.5 GB at most.
MAX_CELLS = 25_000_000
MAX_JSONL_BYTES = 2 * 2**30
Format = Literal["csv", "parquet", "jsonl"]
_OBJECT = re.compile(rb'\{\s*["}]')


@dataclass(frozen=True)
class Sample:
    """The first rows of a file. `truncated` says that the file has more than these."""

    frame: pl.DataFrame
    format: Format
    truncated: bool


def read_sample(path: Path) -> Sample:
    """The first rows of a file; InputError, with what to do, where it cannot be taken."""
    if not path.is_file():
        raise InputError(f"{path} is no file. Name a CSV, Parquet or JSONL file.")
    kind = _format_of(path)
    try:
        frame = _readers[kind](path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text. Convert it, then run again.") from error
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"{path} cannot be read as {kind}: {reason}") from error
    if frame.width == 0 or frame.height == 0:
        raise InputError(f"{path} holds no rows below its header.")
    rows = _most_rows(frame.width)
    return Sample(frame.head(rows), kind, truncated=frame.height > rows)


def _most_rows(width: int) -> int:
    return min(MAX_ROWS, max(1000, MAX_CELLS // max(1, width)))


def _format_of(path: Path) -> Format:
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return "parquet"
    opener = gzip.open if head[:2] == b"\x1f\x8b" else open
    try:
        with opener(path, "rb") as file:
            start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    except (OSError, EOFError) as error:
        raise InputError(f"{path} is a broken gzip file: {error}") from error
    return "jsonl" if _OBJECT.match(start) else "csv"


def _read_csv(path: Path) -> pl.DataFrame:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    opener = gzip.open if packed else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file), [])
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            raise InputError(
                f"{path} is separated by {name}; a landed CSV is separated by commas. "
                "Convert it, then run again."
            )
    names = [name.strip() for name in header]
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"{path} has columns of the same name: {', '.join(map(repr, twice[:10]))}."
        )
    return pl.read_csv(
        path,
        new_columns=names,
        infer_schema=False,
        n_rows=_most_rows(len(names)) + 1,
        truncate_ragged_lines=True,
    )


def _read_parquet(path: Path) -> pl.DataFrame:
    width = len(pl.read_parquet_schema(path))
    return pl.read_parquet(path, n_rows=_most_rows(width) + 1)


def _read_jsonl(path: Path) -> pl.DataFrame:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    if not packed:
        return pl.read_ndjson(path, n_rows=MAX_ROWS + 1, infer_schema_length=None)
    with gzip.open(path, "rb") as file:
        content = file.read(MAX_JSONL_BYTES + 1)
    if len(content) > MAX_JSONL_BYTES:
        raise InputError(
            f"{path} unpacks to more than {MAX_JSONL_BYTES:,} bytes; name a part of it."
        )
    return pl.read_ndjson(io.BytesIO(content), n_rows=MAX_ROWS + 1, infer_schema_length=None)


_readers = {"csv": _read_csv, "parquet": _read_parquet, "jsonl": _read_jsonl}
