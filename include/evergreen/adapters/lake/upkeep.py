"""What keeping house needs of the lake: frozen snapshots, and files that no needed version names.

A vacuum commits to the table's log, so a table that has nothing to give up is left alone.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable

from deltalake import DeltaTable

from include.evergreen.adapters.lake.storage import Storage
from include.evergreen.effects import effect, read

#: An append that is still being written, or read, is younger than this.
YOUNGEST = dt.timedelta(days=7)
_HOUR = dt.timedelta(hours=1)


class Upkeep:
    """Lists and removes below the root of a lake."""

    _root: Storage

    @read
    def snapshots(self, model: str) -> dict[str, dt.datetime]:
        """The training keys whose parts are frozen here, and when each last changed."""
        return self._root.inside(model, "snapshots").folders()

    @effect
    def remove_snapshot(self, model: str, training_key: str) -> None:
        """Remove all parts of a snapshot; gone already is fine."""
        self._root.inside(model, "snapshots").remove_folder(training_key)

    @read
    def unneeded_files(
        self, model: str, table: str, *, needed: Iterable[int], older_than: dt.timedelta
    ) -> list[str]:
        """The files of a table that neither its newest version nor a `needed` one names:
        overwritten ones, and those an interrupted append left.

        Whatever `older_than` says, nothing younger than `YOUNGEST` is among them.
        """
        return self._vacuum(model, table, needed, older_than, dry_run=True)

    @effect
    def remove_unneeded_files(
        self, model: str, table: str, *, needed: Iterable[int], older_than: dt.timedelta
    ) -> None:
        """Remove what `unneeded_files` names; where it names none, the table is not touched."""
        if self._vacuum(model, table, needed, older_than, dry_run=True):
            self._vacuum(model, table, needed, older_than, dry_run=False)

    def _vacuum(
        self,
        model: str,
        table: str,
        needed: Iterable[int],
        older_than: dt.timedelta,
        *,
        dry_run: bool,
    ) -> list[str]:
        place = self._root.inside(model, table)
        if not DeltaTable.is_deltatable(place.uri, storage_options=place.delta_options):
            return []
        handle = DeltaTable(place.uri, storage_options=place.delta_options)
        newest = int(handle.version())
        kept = sorted({version for version in needed if version <= newest})
        return list(
            handle.vacuum(
                math.ceil(max(older_than, YOUNGEST) / _HOUR),
                dry_run=dry_run,
                enforce_retention_duration=False,
                full=True,
                keep_versions=kept or None,
            )
        )
