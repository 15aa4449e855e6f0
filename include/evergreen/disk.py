"""What is read of folders on a disk while others write there."""

from __future__ import annotations

import contextlib
import datetime as dt
from pathlib import Path


def newest_change(folder: Path) -> dt.datetime:
    """When a folder or anything in it last changed; what vanishes meanwhile does not count.

    Raises:
        FileNotFoundError: the folder itself is not there.
    """
    newest = folder.lstat().st_mtime
    for path in folder.rglob("*"):
        try:
            newest = max(newest, path.lstat().st_mtime)
        except FileNotFoundError:
            continue
    return dt.datetime.fromtimestamp(newest, dt.UTC)


def folders_in(place: Path) -> dict[Path, dt.datetime]:
    """The folders right inside a place, sorted, and when each last changed; {} of no place."""
    found = {}
    for path in sorted(place.iterdir()) if place.is_dir() else ():
        if path.is_dir():
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                found[path] = newest_change(path)
    return found
