"""Reports, spools and work folders of `maintain`: what lies on this machine's disk."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from include.evergreen.effects import effect
from include.evergreen.policy.retention_facts import Decided, Kind, Thing
from include.evergreen.stages.maintain.parts import NOBODY, Installation, newest_change

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
                yield _thing("work", model, str(folder.relative_to(settings.home)), folder), folder
            return
        for folder in _folders(settings.reports_dir / model):
            yield _thing("report", model, folder.name, folder), folder
        for folder in _folders(settings.spool_dir / model):
            name = _SPOOL.match(folder.name)
            if name is not None:
                holds = len(_unread(folder))
                yield _thing("spool", model, folder.name, folder, int(name[1]), holds=holds), folder
        for folder in _folders(settings.work_dir / "trainings" / model):
            yield _thing("work", model, folder.name, folder, training=folder.name), folder
        folder = settings.work_dir / _BUNDLES / model
        if folder.is_dir():
            yield _thing("work", model, _BUNDLES, folder), folder


@effect
def remove_folder(folder: Path) -> None:
    """Remove a folder with all in it; gone already is fine, half gone is found again."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def _unread(folder: Path) -> list[Path]:
    """Closed segments that are not in the lake yet, and what was set aside for a person."""
    return [
        path
        for path in folder.rglob("*")
        if path.suffix == ".refused" or (path.suffix == ".parquet" and path.name[0] != ".")
    ]


def _thing(
    kind: Kind,
    model: str,
    name: str,
    folder: Path,
    version: int | None = None,
    training: str = "",
    holds: int = 0,
) -> Thing:
    return Thing(kind, model, name, newest_change(folder), version, training, holds=holds)
