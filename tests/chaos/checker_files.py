"""The checker's rules on files: the lake's tables, the landing zone, work folders and reports."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from include.evergreen.adapters.lake.storage import Storage
from include.evergreen.model_code import predictor
from include.evergreen.stages.ingest.landed import pending_files
from tests.chaos.checker import Look, Rule
from tests.chaos.facts import ROW, Unreadable, duplicated, read_table


def rows_come_once(look: Look) -> Iterator[str]:
    """No row is in a table twice, and a file's rows are as many as the ledger says."""
    for table, names in ROW.items():
        frame = _read(look, table)
        if frame is None:
            continue
        twice = duplicated(frame, list(names))
        if twice:
            yield f"{twice} rows of table '{table}' are in it twice"
        if table in ("rows", "labels"):
            held = dict(frame.group_by("_file_digest").len().iter_rows())
            for digest, rows in look.ledger(
                "SELECT digest, rows_appended FROM evergreen_files "
                f"WHERE kind = '{table}' AND state = 'appended'"
            ):
                if held.get(digest, 0) != rows:
                    yield (
                        f"file {digest[:12]} brought {rows} rows to table '{table}' by the ledger, "
                        f"and {held.get(digest, 0)} are there"
                    )
    segments = look.ledger("SELECT SUM(rows) FROM evergreen_segments")
    served = _read(look, "requests")
    if served is not None and (segments[0][0] or 0) != served.height:
        yield f"{served.height} served requests are in the lake, {segments[0][0]} in the ledger"


def tables_are_whole(look: Look) -> Iterator[str]:
    """Every file that a table names is there and can be read; others are nobody's."""
    for table in ROW:
        place = look.resources.lake._table(look.resources.model, table)
        try:
            if not DeltaTable.is_deltatable(place.uri, storage_options=place.delta_options):
                continue
            handle = DeltaTable(place.uri, storage_options=place.delta_options)
            named = {Path(uri).name for uri in handle.file_uris()}
            read_table(look.resources, table)
        except (Unreadable, DeltaError) as error:
            yield f"table '{table}' cannot be read: {error}"
            continue
        for name, changed in _files(place):
            left = name not in named and look.is_over(changed)
            if left and table != "quarantine":  # maintain touches nothing of that table
                yield f"{name} lies in table '{table}', and no commit names it"
    for path in (look.home / "lake").rglob("*.tmp"):
        if look.is_old(path):
            yield f"{path.relative_to(look.home)} was never finished"


def no_landed_file_is_forgotten(look: Look) -> Iterator[str]:
    """Every landed file is dealt with, once its grace is over."""
    for file in pending_files(look.resources):
        yield f"{file.uri} was never dealt with"


def nothing_is_left_in_the_way(look: Look) -> Iterator[str]:
    """Work folders, unfinished copies and unsealed segments of the dead are gone."""
    home, settings = look.home, look.resources.settings
    places = [
        *(settings.work_dir.glob("ingest/*")),
        *(settings.work_dir.glob("image-*")),
        *(settings.work_dir.glob("bundles/*/fetching-*")),
        *(settings.work_dir.glob("trainings/*/*")),
        *(settings.spool_dir.glob("*/.collecting/*")),
        *(settings.services_dir.glob("*/building-*")),
        *(settings.services_dir.glob("*/*/*.writing")),
    ]
    for path in places:
        if path.name.startswith(".lock") or not look.is_old(path):
            continue
        yield f"{path.relative_to(home)} was left behind"


def files_are_whole(look: Look) -> Iterator[str]:
    """Reports can be read, and what is built holds what its manifest says."""
    home, settings = look.home, look.resources.settings
    for folder in settings.reports_dir.glob("*/*"):
        try:
            json.loads((folder / "verdict.json").read_text())
            whole = "</html>" in (folder / "drift.html").read_text()
        except (OSError, ValueError):
            whole = False
        if not whole and look.is_old(folder):
            yield f"{folder.relative_to(home)} is half a report"
    for folder in settings.services_dir.glob("*/v*/bundle"):
        images = [_document(row[0]) for row in look.ledger("SELECT image FROM evergreen_images")]
        known = {image["reference"]: image for image in images}
        recorded = known.get(str(folder.parent))
        if recorded is None:
            if look.is_old(folder):
                yield f"{folder.relative_to(home)} was built, and the ledger does not know it"
            continue
        try:
            predictor.read_checked(folder, recorded["manifest_digest"])
        except predictor.BundleRefused as error:
            yield f"{folder.relative_to(home)} is not what was built: {error}"


RULES: tuple[Rule, ...] = (
    rows_come_once,
    tables_are_whole,
    no_landed_file_is_forgotten,
    nothing_is_left_in_the_way,
    files_are_whole,
)


def _files(place: Storage) -> Iterator[tuple[str, dt.datetime]]:
    """What lies right inside a place of the lake, and when it was written."""
    if place.is_local:
        for path in Path(place.uri).iterdir():
            if path.is_file():
                yield path.name, dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
        return
    for key, written in place._objects():
        if "/" not in key:
            yield key, written


def _document(said: str | dict[str, Any]) -> dict[str, Any]:
    """A document as SQLite (a text) or PostgreSQL says it."""
    return json.loads(said) if isinstance(said, str) else said


def _read(look: Look, table: str) -> pl.DataFrame | None:
    """Its rows; None where there are none, or `tables_are_whole` has more to say of it."""
    try:
        return read_table(look.resources, table)
    except Unreadable:
        return None
