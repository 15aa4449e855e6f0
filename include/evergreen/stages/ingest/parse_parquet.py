"""Parquet as batches of typed columns, after its footer was found plausible.

The footer is only a claim: what it says about rows and sizes is compared with the file and the
limits before a row group is read, and the rows and texts that come are counted against it.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.evergreen.errors import FileRefused
from include.evergreen.spec import FileLimits
from include.evergreen.stages.ingest.file_content import too_large
from include.evergreen.stages.ingest.raw_batch import LINE, ROW_NUMBER, RawBatch, too_many_columns

BATCH_ROWS = 65_536
#: A batch is smaller where rows are long, so that it stays below this by what the footer claims.
BATCH_BYTES = 256 * 2**20
#: Texts that a dictionary says once are written out in parts of this size.
PART_BYTES = 64 * 2**20
#: As long as a line of JSON may be. A claim of more is no row but a bomb.
MAX_ROW_BYTES = 16 * 2**20
_MAX_FOOTER_BYTES = 64 * 2**20
_MIN_BYTES = 12
_MAX_EXTRA_COLUMNS = 200


def read_batches(
    path: Path, uri: str, wanted: Sequence[str], limits: FileLimits
) -> tuple[list[str], Iterator[RawBatch]]:
    """The names of the columns, and the rows in batches. Extra columns that are nested are left.

    Raises:
        FileRefused: truncated, an implausible footer, duplicate names, a wanted column that holds
            objects, lists or bytes; while they are read also more text than `limits.max_bytes`.
    """
    _check_footer(path, uri)
    with _refusals(uri), _open(path) as file:
        metadata, schema = file.metadata, file.schema_arrow
    names = list(schema.names)
    if max(len(names), metadata.num_columns) > limits.max_columns:
        raise too_many_columns(uri, limits.max_columns)
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
    blocks = _blocks(path, uri, columns, _text_columns(schema), _batch_rows(metadata, uri))
    return names, _rows(blocks, uri, metadata.num_rows, limits.max_bytes)


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
        raise _too_long(uri, longest)
    return min(BATCH_ROWS, max(1, BATCH_BYTES // max(longest, 1)))


def _blocks(
    path: Path, uri: str, columns: list[str], texts: list[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows as Arrow has them, texts as references into a dictionary: what a file repeats takes
    no more memory than it says once.
    """
    with _refusals(uri), _open(path, read_dictionary=texts) as file:
        for block in file.iter_batches(batch_size=batch_rows, columns=columns, use_threads=False):
            block.validate(full=True)  # the reader takes any bytes for text; polars must not
            yield block


def _rows(
    blocks: Iterator[pa.RecordBatch], uri: str, claimed: int, max_bytes: int
) -> Iterator[RawBatch]:
    done = text_bytes = 0
    for block in blocks:
        for part, size in _spelled_out(block, uri):
            text_bytes += size
            if text_bytes > max_bytes:
                raise too_large(uri, max_bytes)
            with _refusals(uri):
                frame = pl.DataFrame(pa.Table.from_batches([_in_known_zones(part)]))
            numbers = pl.int_range(done + 1, done + frame.height + 1, dtype=pl.Int64)
            done += frame.height
            yield RawBatch(frame.with_columns(numbers.alias(ROW_NUMBER)))
    if done != claimed:
        raise FileRefused("footer", f"{uri} claims {claimed:,} rows and holds {done:,}.")


def _spelled_out(block: pa.RecordBatch, uri: str) -> Iterator[tuple[pa.RecordBatch, int]]:
    """A block with its texts in full, in parts of about PART_BYTES of text, and the size of each.

    Raises:
        FileRefused: a row of more than MAX_ROW_BYTES of text.
    """
    sizes = np.zeros(block.num_rows, dtype=np.int64)
    for column in block.columns:
        if _is_referring(column.type):
            lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
            sizes += pc.fill_null(lengths, 0).to_numpy(zero_copy_only=False)
    if sizes.max(initial=0) > MAX_ROW_BYTES:
        raise _too_long(uri, int(sizes.max()))
    part_of = np.cumsum(sizes) // PART_BYTES
    starts = [0, *(np.flatnonzero(np.diff(part_of)) + 1).tolist(), block.num_rows]
    for start, end in itertools.pairwise(starts):
        part = block.slice(start, end - start)
        columns = [
            column.cast(pa.large_string()) if _is_referring(column.type) else column
            for column in part.columns
        ]
        in_full = pa.RecordBatch.from_arrays(columns, names=block.schema.names)
        yield in_full, int(sizes[start:end].sum())


def _in_known_zones(block: pa.RecordBatch) -> pa.RecordBatch:
    """Zoned times named as UTC, which is what they hold: a file may name a zone that is none."""
    zoned = [pa.types.is_timestamp(f.type) and f.type.tz is not None for f in block.schema]
    columns = [
        column.cast(pa.timestamp(column.type.unit, "UTC")) if is_zoned else column
        for column, is_zoned in zip(block.columns, zoned, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=block.schema.names)


def _too_long(uri: str, longest: int) -> FileRefused:
    return FileRefused(
        "too_long", f"{uri} has rows of {longest:,} bytes; {MAX_ROW_BYTES:,} are allowed."
    )


def _text_columns(schema: pa.Schema) -> list[str]:
    """Columns of text, plain or already by dictionary."""
    return [field.name for field in schema if _is_text(field.type) or _is_referring(field.type)]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_referring(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind)) and _is_text(kind.value_type)


def _open(path: Path, read_dictionary: Sequence[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(
        path, pre_buffer=False, buffer_size=2**20, read_dictionary=list(read_dictionary)
    )


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
