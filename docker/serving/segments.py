"""Makes a Parquet segment of served requests, in the types of the contract.

Columns: `request_id` (text), `time` (when it was answered, UTC), `version` (integer), the raw
columns of the contract with the key if it was sent (see `request_key`), and the predictions. A raw
column that has the name of one of the first three is left out.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

_OURS = ("request_id", "time", "version")
#: A whole column without a gap: a code of `memoryview.cast` (`d` or `q`) and the numbers' bytes.
Packed = tuple[str, bytes]


class Entry(NamedTuple):
    """One answered request: `time_us` since 1970, typed columns, predictions by name.

    The row of a request that is `alone` comes as values, those of any other as columns. The writer
    gets plain values, lists and `Packed` columns (`prediction_log.plain`).
    """

    request_id: bytes
    time_us: int
    columns: Mapping[str, Any]
    predictions: Mapping[str, Any]
    n_rows: int
    alone: bool = False


class SegmentWriter:
    """Knows the columns of a model's segments; `content` makes the bytes of one."""

    def __init__(
        self,
        contract: Mapping[str, Any],
        version: int,
        classes: Any,
        *,
        private: Mapping[str, str] | None = None,
        salt: str = "",
    ) -> None:
        self._version = version
        self._private = dict(private or {})
        self._salt = salt.encode()[:64]
        raw = {**contract["columns"], **contract["optional"]}
        left_out = {name for name, how in self._private.items() if how == "leave_out"}
        self._raw = {
            name: _kind(column)
            for name, column in raw.items()
            if name not in _OURS and name not in left_out
        }
        self._predictions = {"prediction": "float"}
        if classes is not None:
            kind = "boolean" if isinstance(classes[0], bool) else "text"
            whole = isinstance(classes[0], int) and kind == "text"
            self._predictions = {
                "prediction": "integer" if whole else kind,
                **{f"probability_{label}": "float" for label in classes},
            }

    def content(self, entries: Sequence[Entry]) -> bytes:
        """A Parquet file with every row of these entries, in their order."""
        repeated = [(entry, entry.n_rows) for entry in entries]
        columns = {
            "request_id": _array(
                [e.request_id.decode() for e, n in repeated for _ in range(n)], "text"
            ),
            "time": _array([e.time_us for e, n in repeated for _ in range(n)], "timestamp"),
            "version": _array([self._version] * sum(n for _, n in repeated), "integer"),
        }
        for name, kind in self._raw.items():
            found = [e.columns.get(name) for e in entries]
            if self._private.get(name) == "hash":
                hashed = [self._hashed(value) for value in _values(entries, found)]
                columns[name] = _array(hashed, kind)
            else:
                columns[name] = _column(entries, found, kind)
        for name, kind in self._predictions.items():
            if name not in columns:
                found = [e.predictions[name] for e in entries]
                columns[name] = _column(entries, found, kind)
        file = io.BytesIO()
        # Into memory first: arro3 panics where a disk is full, and a panic is no OSError.
        write_parquet(Table.from_pydict(columns), file, compression="zstd(1)")
        return file.getvalue()

    def _hashed(self, value: str | None) -> str | None:
        """The same for the same text, and not to be read back."""
        if value is None:
            return None
        return hashlib.blake2b(value.encode(), key=self._salt, digest_size=16).hexdigest()


def _kind(column: Mapping[str, Any]) -> str:
    if column["type"] == "category":
        return "integer" if column["values"] and isinstance(column["values"][0], int) else "text"
    return "text" if column["type"] == "key" else str(column["type"])


def _column(entries: Sequence[Entry], found: Sequence[Any], kind: str) -> Any:
    """One column of a segment, from what each entry has of it."""
    codes = {part[0] if _is_packed(part) else "" for part in found}
    if len(codes) > 1 or codes == {""}:
        return _array(_values(entries, found), kind)
    numbers = memoryview(b"".join(part[1] for part in found)).cast(codes.pop())
    return _typed(Array.from_buffer(numbers), kind)


def _is_packed(part: Any) -> bool:
    return type(part) is tuple


def _values(entries: Sequence[Entry], found: Sequence[Any]) -> list[Any]:
    """As many values as the entries have rows, None or NaN for missing."""
    values: list[Any] = []
    for entry, part in zip(entries, found, strict=True):
        if entry.alone:
            values.append(part)
        elif part is None:
            values += [None] * entry.n_rows
        else:
            values += memoryview(part[1]).cast(part[0]) if _is_packed(part) else part
    return values


def _array(values: Sequence[Any], kind: str) -> Any:
    if kind == "text":
        return Array(values, DataType.utf8())
    values = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    if kind == "float":
        return Array(values, DataType.float64())
    if kind == "boolean":
        return Array([None if v is None else bool(v) for v in values], DataType.bool())
    return _typed(Array([None if v is None else int(v) for v in values], DataType.int64()), kind)


def _typed(numbers: Any, kind: str) -> Any:
    """An array of numbers in the type of its kind."""
    return numbers if kind == "float" else numbers.cast(_TYPES[kind])


_TYPES = {
    "boolean": DataType.bool(),
    "integer": DataType.int64(),
    "timestamp": DataType.timestamp("us", tz="UTC"),
}
