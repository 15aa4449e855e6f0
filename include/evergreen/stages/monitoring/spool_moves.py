"""Moves segments of served requests on one disk: each step a rename, or a removal that is known.

A folder `filling-<name>` becomes `sealed-<name>` when all that belongs into it is there, and
`done-<name>` when all of it is in the lake: who looks into it meanwhile finds all of it, or no such
folder.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path

from include.evergreen.effects import effect
from include.evergreen.errors import FileRefused

log = logging.getLogger(__name__)

FILLING, SEALED, DONE = "filling-", "sealed-", "done-"


@effect
def begin_folder(filling: Path) -> None:
    filling.mkdir(parents=True)


@effect
def take_segment(segment: Path, to: Path) -> None:
    segment.rename(to)


@effect
def forget_segment(segment: Path) -> None:
    segment.unlink(missing_ok=True)


@effect
def set_aside(segment: Path, folder: Path, refusal: FileRefused) -> None:
    """Keep what is no segment under another name; a log line says why."""
    kept = folder / f"{segment.name}.refused"
    try:
        segment.rename(kept)
    except FileNotFoundError:
        return
    log.warning("Segment %s is refused (%s): %s", segment, refusal.rule, refusal)
    log.warning("It is kept as %s.", kept)


@effect
def seal(filling: Path) -> None:
    filling.rename(filling.with_name(filling.name.replace(FILLING, SEALED)))


@effect
def forget_folder(folder: Path) -> None:
    """Remove a sealed folder at once for all who look; what a crash leaves is `DONE`."""
    done = folder.with_name(folder.name.replace(SEALED, DONE))
    with contextlib.suppress(FileNotFoundError):
        folder.rename(done)
    shutil.rmtree(done, ignore_errors=True)


@effect
def forget_empty(folder: Path) -> None:
    """Remove a folder unless something is in it; gone already is fine."""
    with contextlib.suppress(OSError):
        folder.rmdir()
