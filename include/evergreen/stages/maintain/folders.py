"""Reports, spools and work folders of `maintain`: what lies on this machine's disk."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from include.evergreen.disk import folders_in, newest_change
from include.evergreen.effects import effect
from include.evergreen.policy.retention_facts import Decided, Thing
from include.evergreen.stages.maintain.parts import NOBODY, Installation

_SPOOL = re.compile(r"^v(\d+)-[a-z]+$")
_BUNDLES = "bundles"


class FoldersPart:
    """Folders below the home. Segments and refused files in a spool are never removed."""

    name = "folders"

    def __init__(self, installation: Installation) -> None:
        self._settings = installation.settings

    def find(self, model: str) -> list[Thing]:
        return [thing for thing, _ in self._found(model)]

    def act(self, decided: Decided) -> None:
        for thing, folder in self._found(decided.thing.model):
            if (thing.kind, thing.name) == (decided.thing.kind, decided.thing.name):
                remove_folder(folder)

    def _found(self, model: str) -> Iterator[tuple[Thing, Path]]:
        settings = self._settings
        if model == NOBODY:
            interrupted = [
                *settings.work_dir.glob("image-*"),
                *settings.work_dir.glob("ingest/file-*"),
                *settings.services_dir.glob("*/building-*"),
            ]
            for folder in sorted(interrupted):
                name = str(folder.relative_to(settings.home))
                yield Thing("work", model, name, _changed(folder)), folder
            return
        for folder, since in folders_in(settings.reports_dir / model).items():
            yield Thing("report", model, folder.name, since), folder
        for folder, since in folders_in(settings.spool_dir / model).items():
            served = _SPOOL.match(folder.name)
            if served is not None:
                version, holds = int(served[1]), len(_unread(folder))
                yield Thing("spool", model, folder.name, since, version, holds=holds), folder
        for folder, since in folders_in(settings.work_dir / "trainings" / model).items():
            yield Thing("work", model, folder.name, since, training=folder.name), folder
        folder = settings.work_dir / _BUNDLES / model
        if folder.is_dir():
            yield Thing("work", model, _BUNDLES, _changed(folder)), folder


@effect
def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it; gone already is fine, half gone is found again."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _unread(folder: Path) -> list[Path]:
    """Closed segments that are not in the lake yet, and what was set aside for a person."""
    return [
        path
        for path in folder.rglob("*")
        if path.suffix == ".refused" or (path.suffix == ".parquet" and path.name[0] != ".")
    ]


def _changed(folder: Path) -> dt.datetime | None:
    """When anything in it last changed; None (kept, whatever it is) if it vanished meanwhile."""
    try:
        return newest_change(folder)
    except FileNotFoundError:
        return None
