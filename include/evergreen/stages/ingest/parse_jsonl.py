"""JSON Lines as batches of text columns: one object a line, scalars only in the known columns.

Numbers, booleans and texts become the text they would have in a CSV, so that one contract reads
both. A line that is no object is set aside; the rest goes on.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from include.evergreen.errors import FileRefused
from include.evergreen.spec import FileLimits
from include.evergreen.stages.ingest.raw_batch import (
    LINE,
    ROW_NUMBER,
    BadLine,
    RawBatch,
    too_many_columns,
)

BATCH_LINES = 50_000
BATCH_BYTES = 16 * 2**20
#: One line may be this long; a longer one is no row but a file of another kind.
MAX_LINE_BYTES = 16 * 2**20
#: The fast parser keeps the last of two equal keys; this many lines are looked at more closely.
_EXAMINED_LINES = 1000


def read_batches(
    path: Path, uri: str, wanted: Sequence[str], limits: FileLimits
) -> tuple[list[str], Iterator[RawBatch]]:
    """The names seen in the first lines, and the rows in batches of the wanted columns.

    Raises:
        FileRefused: the first line is no object, one holds a name twice, a line is endless, or
            the text is not UTF-8.
    """
    names = _examine(path, uri, limits.max_columns)
    return names, _rows(path, uri, wanted)


def _examine(path: Path, uri: str, max_columns: int) -> list[str]:
    names: dict[str, None] = {}
    for number, line in _lines(path, uri):
        if number > _EXAMINED_LINES:
            break
        try:
            pairs = json.loads(line, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            continue  # set aside by the reader, with its number
        if not isinstance(pairs, _Pairs):
            continue
        keys = collections.Counter(key for key, _ in pairs)
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            raise FileRefused(
                "duplicate_columns",
                f"{uri}, line {number}, holds a name twice: {', '.join(twice[:10])}.",
            )
        names |= dict.fromkeys(keys)
        if len(names) > max_columns:
            raise too_many_columns(uri, max_columns)
    if not names:
        raise FileRefused("parse", f"{uri} holds no JSON object in its first lines.")
    return list(names)


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that a name that comes twice is seen."""


def _lines(path: Path, uri: str) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise FileRefused(
                    "parse", f"{uri}, line {number}, is longer than {MAX_LINE_BYTES:,} bytes."
                )
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line


def _rows(path: Path, uri: str, wanted: Sequence[str]) -> Iterator[RawBatch]:
    rows: list[tuple[int, str, dict[str, str | None]]] = []
    bad: list[BadLine] = []
    size = 0
    for number, line in _lines(path, uri):
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise FileRefused("encoding", f"{uri}, line {number}, is not UTF-8 text.") from error
        row = row_of(number, text, wanted)
        if isinstance(row, BadLine):
            bad.append(row)
        else:
            rows.append((number, text, row))
        size += len(line)
        if len(rows) + len(bad) >= BATCH_LINES or size >= BATCH_BYTES:
            yield _batch(rows, bad, wanted)
            rows, bad, size = [], [], 0
    if rows or bad:
        yield _batch(rows, bad, wanted)


def row_of(number: int, text: str, wanted: Sequence[str]) -> dict[str, str | None] | BadLine:
    """The wanted values of one line as text, or what is wrong with the line."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return BadLine(number, "", "json", f"is no JSON: {error}"[:200], text)
    if not isinstance(found, dict):
        return BadLine(number, "", "json", "is no JSON object", text)
    row: dict[str, str | None] = {}
    for name in wanted:
        value = found.get(name)
        if isinstance(value, dict | list):
            return BadLine(number, name, "type", f"{name} is nested; a value is wanted", text)
        row[name] = _as_text(value)
    return row


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _batch(
    rows: list[tuple[int, str, dict[str, str | None]]], bad: list[BadLine], wanted: Sequence[str]
) -> RawBatch:
    columns: dict[str, pl.Series] = {
        name: pl.Series(name, [row[name] for _, _, row in rows], pl.String) for name in wanted
    }
    columns[LINE] = pl.Series(LINE, [text for _, text, _ in rows], pl.String)
    columns[ROW_NUMBER] = pl.Series(ROW_NUMBER, [number for number, _, _ in rows], pl.Int64)
    return RawBatch(pl.DataFrame(columns), bad)
