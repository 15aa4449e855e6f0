"""Parquet as batches of typed columns, after its footer was found plausible.

The footer is only a claim: what it says about rows and sizes is compared with the file and the
limits before a row group is read, and the rows that come are counted against it.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from include.evergreen.errors import FileRefused
from include.evergreen.stages.ingest.raw_batch import LINE, ROW_NUMBER, RawBatch, too_many_columns

BATCH_ROWS = 65_536
#: A batch is smaller where rows are long, so that it stays below this by what the footer claims.
BATCH_BYTES = 256 * 2**20
#: As long as a line of JSON may be. A claim of more is no row but a bomb.
MAX_ROW_BYTES = 16 * 2**20
_MAX_FOOTER_BYTES = 64 * 2**20
_MIN_BYTES = 12
_MAX_EXTRA_COLUMNS = 200


def read_batches(
    path: Path, uri: str, wanted: Sequence[str], max_columns: int
) -> tuple[list[str], Iterator[RawBatch]]:
    """The names of the columns, and the rows in batches. Extra columns that are nested are left.

    Raises:
        FileRefused: truncated, an implausible footer, duplicate names, a wanted column that holds
            objects, lists or bytes.
    """
    _check_footer(path, uri)
    with _refusals(uri), _open(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    names = list(schema.names)
    if max(len(names), metadata.num_columns) > max_columns:
        raise too_many_columns(uri, max_columns)
    twice = [name for name, count in collections.Counter(names).items() if count > 1]
    if twice:
        raise FileRefused(
            "duplicate_columns", f"{uri} has columns of the same name: {', '.join(twice[:10])}."
        )
    claimed = sum(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))
    if claimed != metadata.num_rows or metadata.num_rows < 0:
        raise FileRefused(
            "footer", f"{uri} claims {metadata.num_rows:,} rows, and its row groups {claimed:,}."
        )
    scalars = [field.name for field in schema if _is_scalar(field.type)]
    for name in wanted:
        if name in names and name not in scalars:
            raise FileRefused(
                "type", f"{uri}: column '{name}' holds {schema.field(name).type}. Not loaded."
            )
    extra = [name for name in scalars if name not in {*wanted, LINE}][:_MAX_EXTRA_COLUMNS]
    columns = [name for name in scalars if name in wanted] + extra
    return names, _rows(path, uri, columns, metadata.num_rows, _batch_rows(metadata, uri))


def claimed_rows(path: Path, uri: str) -> tuple[int, int]:
    """How many rows and uncompressed bytes the footer claims."""
    _check_footer(path, uri)
    with _refusals(uri), _open(path) as file:
        metadata = file.metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        return metadata.num_rows, sum(group.total_byte_size for group in groups)


def _batch_rows(metadata: pq.FileMetaData, uri: str) -> int:
    """How many rows to read at a time, by the longest mean row of a group."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    longest = max((g.total_byte_size // max(g.num_rows, 1) for g in groups), default=0)
    if longest > MAX_ROW_BYTES:
        raise FileRefused(
            "too_long", f"{uri} claims rows of {longest:,} bytes; {MAX_ROW_BYTES:,} are allowed."
        )
    return min(BATCH_ROWS, max(1, BATCH_BYTES // max(longest, 1)))


def _rows(
    path: Path, uri: str, columns: list[str], claimed: int, batch_rows: int
) -> Iterator[RawBatch]:
    done = 0
    with _refusals(uri), _open(path) as file:
        for block in file.iter_batches(batch_size=batch_rows, columns=columns, use_threads=False):
            block.validate(full=True)  # the reader takes any bytes for text; polars must not
            frame = pl.DataFrame(pa.Table.from_batches([_in_known_zones(block)]))
            numbers = pl.int_range(done + 1, done + frame.height + 1, dtype=pl.Int64)
            done += frame.height
            yield RawBatch(frame.with_columns(numbers.alias(ROW_NUMBER)))
    if done != claimed:
        raise FileRefused("footer", f"{uri} claims {claimed:,} rows and holds {done:,}.")


def _in_known_zones(block: pa.RecordBatch) -> pa.RecordBatch:
    """Zoned times named as UTC, which is what they hold: a file may name a zone that is none."""
    zoned = [pa.types.is_timestamp(f.type) and f.type.tz is not None for f in block.schema]
    columns = [
        column.cast(pa.timestamp(column.type.unit, "UTC")) if is_zoned else column
        for column, is_zoned in zip(block.columns, zoned, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=block.schema.names)


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20)


def _check_footer(path: Path, uri: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 8))
        tail = file.read()
    if size < _MIN_BYTES or tail[4:] != b"PAR1":
        raise FileRefused("truncated", f"{uri} has no parquet footer: it is not complete.")
    length = int.from_bytes(tail[:4], "little")
    if length > min(size - _MIN_BYTES, _MAX_FOOTER_BYTES):
        raise FileRefused("footer", f"{uri} claims a footer of {length:,} bytes in {size:,}.")


def _is_scalar(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    nested = pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType)
    nested = nested or pa.types.is_decimal256(kind)  # polars has no such number
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return not (nested or binary or pa.types.is_fixed_size_binary(kind) or pa.types.is_null(kind))


@contextlib.contextmanager
def _refusals(uri: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())[:300]
        raise FileRefused("parse", f"{uri} cannot be read as Parquet: {said}.") from error
