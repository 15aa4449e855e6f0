"""Appends rows in one commit that happens exactly once, in bounded memory.

Rows are written as Parquet files beside the table while they come; no reader sees them until the
commit names them all. The commit carries the transaction's id and is made at exactly the next
version of the handle that was read: where somebody else was faster it fails, the handle is read
again, and either the transaction is there already (a twin) or the files are stamped with the new
version and committed again. Recording the id alone would not do: Delta commits it twice.
"""

from __future__ import annotations

import json
import time
import uuid
from types import TracebackType
from typing import Self

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.schema import PrimitiveType
from deltalake.transaction import AddAction

from include.evergreen.adapters.lake.storage import Storage
from include.evergreen.effects import effect
from include.evergreen.errors import SpecError, Unavailable

BATCH = "_batch"
#: A file of the table holds about this much before compression: small enough for the memory
#: budget of ingest (1.5 GB), large enough that 2 GB of CSV are some forty files.
PART_BYTES = 48 * 2**20
_MAX_COMMITS = 20
_CONFIGURATION = {"delta.logRetentionDuration": "interval 3650 days"}


class Append:
    """One append in the making. `committed` is the version at which this transaction was
    committed, or None; once it is set, `write` and `commit` have no effect.
    """

    def __init__(self, place: Storage, transaction: str) -> None:
        self._place = place
        self._transaction = transaction
        self._table: DeltaTable | None = None
        self._batch = 0
        self._waiting: list[pl.DataFrame] = []
        self._waiting_bytes = 0
        self._parts: list[_PartFile] = []
        self.committed: int | None = None

    def __enter__(self) -> Self:
        if DeltaTable.is_deltatable(self._place.uri, storage_options=self._place.delta_options):
            self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for part in self._parts:
            self._place.discard(part.name)

    @effect
    def write(self, frame: pl.DataFrame) -> None:
        """Add rows to the append. `_batch` is set here, whatever the frame says."""
        if self.committed is not None or frame.is_empty():
            return
        if self._table is None:
            self._create(frame)
        self._waiting.append(frame.drop(BATCH, strict=False))
        self._waiting_bytes += int(frame.estimated_size())
        if self._waiting_bytes >= PART_BYTES:
            self._write_part()

    @effect
    def commit(self) -> int:
        """Make all that was written visible at once; the version at which it is."""
        if self.committed is not None:
            return self.committed
        self._write_part()
        if not self._parts:
            return self._batch - 1 if self._table is not None else 0
        for _ in range(_MAX_COMMITS):
            if self._try_commit():
                return self._batch
            self._open()
            if self.committed is not None:
                self._keep_what_is_named()
                return self.committed
            self._stamp_again()
        raise Unavailable(
            f"{self._place.uri} was committed to by others {_MAX_COMMITS} times in a row. "
            "Nothing was appended; try again."
        )

    def _open(self) -> None:
        self._table = DeltaTable(self._place.uri, storage_options=self._place.delta_options)
        self._batch = self._table.version() + 1
        self.committed = self._table.transaction_version(self._transaction)

    @effect
    def _create(self, frame: pl.DataFrame) -> None:
        """An empty table first: two twins that create one with rows in it both succeed."""
        try:
            DeltaTable.create(
                self._place.uri,
                _delta_schema(frame),
                mode="ignore",
                configuration=_CONFIGURATION,
                storage_options=self._place.delta_options,
            )
        except DeltaError:
            if not DeltaTable.is_deltatable(
                self._place.uri, storage_options=self._place.delta_options
            ):
                raise
        self._open()

    def _write_part(self) -> None:
        if not self._waiting or self._table is None:
            return
        frame = self._fitted(pl.concat(self._waiting))
        self._waiting, self._waiting_bytes = [], 0
        name = f"part-{uuid.uuid4().hex}.parquet"
        stamped = frame.with_columns(pl.lit(self._batch, pl.Int64).alias(BATCH))
        size = self._place.write_parquet(stamped, name)
        self._parts.append(_PartFile(name, size, stamped.height))

    def _fitted(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the types of the table, after the table got the columns it lacks."""
        table = self._table
        if table is None:
            return frame
        known = {field.name: field for field in table.schema().fields}
        wanted = {field.name: field for field in _delta_schema(frame).fields}
        widen = [n for n, f in wanted.items() if n in known and _widens(known[n], f)]
        new = [field for name, field in wanted.items() if name not in known]
        if widen:
            self._widen(table, widen)
        if new:
            table.alter.add_columns(new)
        if widen or new:
            self._open()
            self._stamp_again()
            known |= {name: wanted[name] for name in widen}
        narrow = [n for n, f in wanted.items() if n in known and _widens(f, known[n])]
        for name, field in wanted.items():
            if name in known and name not in narrow and known[name].type != field.type:
                raise SpecError(
                    f"Column '{name}' is {field.type.type} by the contract, and the lake holds it "
                    f"as {known[name].type.type} ({self._place.uri}). Give the changed column a "
                    "new name in the source and in the contract."
                )
        return frame.with_columns(pl.col(narrow).cast(pl.Float64)) if narrow else frame

    @effect
    def _widen(self, table: DeltaTable, names: list[str]) -> None:
        """Rewrite the table with integers turned into floats; older versions stay readable."""
        floats = pl.scan_delta(table, storage_options=self._place.polars_options).with_columns(
            pl.col(names).cast(pl.Float64)
        )
        schema = floats.collect_schema().to_frame().to_arrow().schema
        batches = (b for frame in floats.collect_batches() for b in _arrow_batches(frame, schema))
        write_deltalake(
            table,
            pa.RecordBatchReader.from_batches(schema, batches),
            mode="overwrite",
            schema_mode="overwrite",
            commit_properties=CommitProperties(max_commit_retries=0),
        )

    @effect
    def _try_commit(self) -> bool:
        if self._table is None:
            return False
        now_ms = int(time.time() * 1000)  # Delta's own bookkeeping, never a fact of ours
        actions = [
            AddAction(p.name, p.size, {}, now_ms, True, json.dumps({"numRecords": p.rows}))
            for p in self._parts
        ]
        properties = CommitProperties(
            max_commit_retries=0,
            app_transactions=[Transaction(self._transaction, self._batch)],
        )
        try:
            self._table.create_write_transaction(
                actions, "append", self._table.schema(), commit_properties=properties
            )
        except CommitFailedError:
            return False
        self._parts = []
        self.committed = self._batch
        return True

    def _keep_what_is_named(self) -> None:
        """A commit may succeed and its answer be lost: then the files found there are ours."""
        named = {uri.rpartition("/")[2] for uri in self._table.file_uris()} if self._table else ()
        self._parts = [part for part in self._parts if part.name not in named]

    def _stamp_again(self) -> None:
        """Give the files written so far the version they will be committed at now."""
        for index, part in enumerate(self._parts):
            frame = self._place.read_parquet(part.name)
            stamped = frame.with_columns(pl.lit(self._batch, pl.Int64).alias(BATCH))
            size = self._place.write_parquet(stamped, part.name)
            self._parts[index] = _PartFile(part.name, size, part.rows)


class _PartFile:
    def __init__(self, name: str, size: int, rows: int) -> None:
        self.name, self.size, self.rows = name, size, rows


def _delta_schema(frame: pl.DataFrame) -> Schema:
    stamped = frame.head(0).with_columns(pl.lit(0, pl.Int64).alias(BATCH))
    return Schema.from_arrow(stamped.to_arrow().schema)


def _arrow_batches(frame: pl.DataFrame, schema: pa.Schema) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = frame.to_arrow().cast(schema).to_batches()
    return batches


def _widens(narrow: Field, wide: Field) -> bool:
    return bool(narrow.type == PrimitiveType("long") and wide.type == PrimitiveType("double"))
