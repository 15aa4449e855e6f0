"""Makes a Parquet segment of served requests, in the types of the contract.

Columns: `request_id` (text), `time` (when it was answered, UTC), `version` (integer), the raw
columns of the contract with the key if it was sent, and the predictions. A raw column that has the
name of one of the first three is left out.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

_OURS = ("request_id", "time", "version")


class Entry(NamedTuple):
    """One answered request: `time_us` since 1970, typed columns, predictions by name.

    The row of a request that is `alone` comes as values, those of any other as columns. The writer
    gets plain values and lists (`prediction_log.plain`).
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
            values = [v for e in entries for v in _values(e, e.columns.get(name))]
            if self._private.get(name) == "hash":
                values = [None if v is None else self._hashed(v) for v in values]
            columns[name] = _array(values, kind)
        for name, kind in self._predictions.items():
            if name not in columns:
                values = [v for e in entries for v in _values(e, e.predictions[name])]
                columns[name] = _array(values, kind)
        file = io.BytesIO()
        # Into memory first: arro3 panics where a disk is full, and a panic is no OSError.
        write_parquet(Table.from_pydict(columns), file, compression="zstd(1)")
        return file.getvalue()

    def _hashed(self, value: str) -> str:
        """The same for the same text, and not to be read back."""
        return hashlib.blake2b(value.encode(), key=self._salt, digest_size=16).hexdigest()


def _kind(column: Mapping[str, Any]) -> str:
    if column["type"] == "category":
        return "integer" if column["values"] and isinstance(column["values"][0], int) else "text"
    return "text" if column["type"] == "key" else str(column["type"])


def _values(entry: Entry, column: Any) -> Sequence[Any]:
    """As many values as the entry has rows, None or NaN for missing."""
    if entry.alone:
        return (column,)
    return [None] * entry.n_rows if column is None else column


def _array(values: Sequence[Any], kind: str) -> Any:
    if kind == "text":
        return Array(values, DataType.utf8())
    values = [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    if kind == "float":
        return Array(values, DataType.float64())
    if kind == "boolean":
        return Array([None if v is None else bool(v) for v in values], DataType.bool())
    whole = Array([None if v is None else int(v) for v in values], DataType.int64())
    return whole.cast(DataType.timestamp("us", tz="UTC")) if kind == "timestamp" else whole
