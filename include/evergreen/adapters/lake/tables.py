"""Reads tables at a version, appends to them exactly once, and keeps snapshot parts whole."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import polars as pl
from deltalake import DeltaTable

from include.evergreen.adapters.lake.append import Append
from include.evergreen.adapters.lake.storage import Storage, lake_storage
from include.evergreen.adapters.lake.upkeep import Upkeep
from include.evergreen.contracts import Part
from include.evergreen.effects import effect, read
from include.evergreen.errors import NotInLake
from include.evergreen.settings import Settings

TableName = Literal["rows", "labels", "quarantine", "requests"]


class Lake(Upkeep):
    """All tables and snapshots of an installation. Opening it touches nothing."""

    def __init__(self, settings: Settings) -> None:
        self._root = lake_storage(settings)

    @effect
    def append_rows(
        self, model: str, table: TableName, frames: Iterable[pl.DataFrame], *, transaction: str
    ) -> int:
        """Append all frames in one commit, once a `transaction` id, ever; the Delta version.

        Memory stays at a few frames, however many there are. A second call with the same id, also
        a concurrent one, appends nothing and returns the version of the first. With no rows at
        all nothing is committed, and the newest version (0 for no table) is returned.
        """
        with self.appending(model, table, transaction=transaction) as append:
            if append.committed is not None:
                return append.committed
            for frame in frames:
                append.write(frame)
            return append.commit()

    @read
    def appending(self, model: str, table: TableName, *, transaction: str) -> Append:
        """An append whose rows are decided on before they are committed: a context manager.

        `write` frames, then `commit`, or leave without it: then nothing was appended.
        """
        return Append(self._table(model, table), transaction)

    @read
    def version(self, model: str, table: TableName) -> int | None:
        """The newest version of a table; None where there is no such table yet."""
        place = self._table(model, table)
        if not DeltaTable.is_deltatable(place.uri, storage_options=place.delta_options):
            return None
        return int(DeltaTable(place.uri, storage_options=place.delta_options).version())

    @read
    def committed(self, model: str, table: TableName, transaction: str) -> int | None:
        """The version at which a transaction was committed; None if it was not."""
        with self.appending(model, table, transaction=transaction) as append:
            return append.committed

    @read
    def scan(self, model: str, table: TableName, version: int | None = None) -> pl.LazyFrame:
        """The rows of a table, lazily, as they were at `version` (None: as they are now).

        Raises:
            NotInLake: there is no such table, or it never had this version.
        """
        place = self._table(model, table)
        newest = self.version(model, table)
        if newest is None or (version is not None and version > newest):
            seen = "there is none yet" if newest is None else f"its newest version is {newest}"
            wanted = "" if version is None else f" at version {version}"
            raise NotInLake(f"Table '{table}' of {model}{wanted} cannot be read: {seen}.")
        handle = DeltaTable(
            place.uri,
            version=newest if version is None else version,
            storage_options=place.delta_options,
        )
        return pl.scan_delta(handle, storage_options=place.polars_options)

    @read
    def latest_labels(self, model: str, key: str, version: int | None = None) -> pl.LazyFrame:
        """The labels table with one row a key: the one that arrived last wins.

        A label that comes again is taken as a correction; within one file the later row wins.
        """
        return (
            self.scan(model, "labels", version)
            .sort("_batch", "_row_number")
            .unique(subset=[key], keep="last", maintain_order=True)
        )

    @effect
    def put_part(self, model: str, training_key: str, part: Part, frame: pl.DataFrame) -> None:
        """Freeze one part of a snapshot, whole or not at all; the same again is harmless."""
        self._snapshot(model, training_key).write_parquet(frame, f"{part}.parquet")

    @read
    def get_part(self, model: str, training_key: str, part: Part) -> pl.DataFrame:
        """One frozen part of a snapshot.

        Raises:
            NotInLake: it was never frozen, or was deleted.
        """
        place = self._snapshot(model, training_key)
        try:
            return place.read_parquet(f"{part}.parquet")
        except OSError as error:
            raise NotInLake(
                f"Part '{part}' of snapshot {training_key[:12]} of {model} is not in the lake "
                f"({place.uri}). Clear the task that froze the snapshot, then this one."
            ) from error

    def _table(self, model: str, table: TableName) -> Storage:
        return self._root.inside(model, table)

    def _snapshot(self, model: str, training_key: str) -> Storage:
        return self._root.inside(model, "snapshots", training_key)
