"""Puts a file into a landing zone the way a careful sender does: whole, and under a new name.

For people and for the demo; nothing that runs in a DAG writes to a landing zone.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from pathlib import Path

from include.evergreen.adapters.landing.s3 import S3Landing
from include.evergreen.adapters.landing.zone import CHUNK_BYTES, Landing
from include.evergreen.contracts import LandedFile
from include.evergreen.effects import effect
from include.evergreen.errors import FileUnreadable, Unavailable

_PARTIAL = ".partial"


@effect
def deliver(source: Path, landing: Landing, *, now: dt.datetime) -> tuple[LandedFile, str]:
    """Copy `source` into the zone; the file as the zone lists it, and the sha256 of its bytes.

    Raises:
        FileUnreadable: the source cannot be read, or the zone not be written to.
        Unavailable: the file is not there right after it was written.
    """
    name = landed_name(source.name, now)
    try:
        if isinstance(landing, S3Landing):
            digest = _digest(source)
            landing.upload(source, name)
        else:
            digest = _copy(source, Path(landing.uri), name)
    except OSError as error:
        raise FileUnreadable(f"{source} cannot be put into {landing.uri}: {error}") from error
    for file in landing.list():
        if file.uri.endswith(f"/{name}"):
            return file, digest
    raise Unavailable(f"{name} was written to {landing.uri}, and is not listed there.")


def landed_name(name: str, now: dt.datetime) -> str:
    """A name that sorts by time, is taken for no hidden or partial file, and needs no quoting."""
    stem, dot, suffixes = name.lstrip("._").partition(".")
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", stem).strip("-") or "rows"
    ending = re.sub(r"[^A-Za-z0-9.]+", "", suffixes)
    return f"{now:%Y%m%dT%H%M%S%f}-{plain[:80]}{dot}{ending[-40:]}"


def _copy(source: Path, directory: Path, name: str) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / f".{name}{_PARTIAL}"
    digest = hashlib.sha256()
    try:
        with source.open("rb") as original, partial.open("wb") as copy:
            while chunk := original.read(CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        partial.rename(directory / name)
    finally:
        partial.unlink(missing_ok=True)
    return digest.hexdigest()


def _digest(source: Path) -> str:
    with source.open("rb") as original:
        return hashlib.file_digest(original, "sha256").hexdigest()
