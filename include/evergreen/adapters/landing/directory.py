"""A landing zone in a directory: opens regular files only, and never follows a link in it."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote_from_bytes, unquote_to_bytes

from include.evergreen.adapters.landing.zone import Landing, is_ignored
from include.evergreen.contracts import LandedFile
from include.evergreen.effects import read
from include.evergreen.errors import FileChanged, FileUnreadable

MAX_DEPTH = 16
_SAFE = b"/-_.~=+@,:()!"
_KINDS = (
    (stat.S_ISLNK, "symlink"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISCHR, "device"),
)


class DirectoryLanding(Landing):
    """Files under one directory, folders in it included. A directory that is not there is empty."""

    atomic = False

    def __init__(self, directory: str) -> None:
        self.uri = directory
        self._root = Path(directory)

    @read
    def list(self) -> list[LandedFile]:
        found = list(self._walk(self._root, 0)) if self._root.exists() else []
        return sorted(found, key=lambda file: (file.modified_at, file.uri))

    def _walk(self, directory: Path, depth: int) -> Iterator[LandedFile]:
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
        except PermissionError as error:
            if depth == 0:
                raise FileUnreadable(
                    f"The landing zone {self.uri} may not be listed: {error.strerror}. Give the "
                    "user that runs Airflow permission to read it, then clear the task."
                ) from error
            yield _landed(directory, directory.lstat(), "unreadable_directory")
            return
        except FileNotFoundError:
            return  # taken away since it was listed
        for entry in entries:
            path = Path(entry.path)
            if is_ignored(os.fsdecode(os.fsencode(path.relative_to(self._root)))):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield _landed(path, status)
            elif not stat.S_ISDIR(status.st_mode):
                kind = next((k for is_kind, k in _KINDS if is_kind(status.st_mode)), "special")
                yield _landed(path, status, kind)
            elif depth < MAX_DEPTH:
                yield from self._walk(path, depth + 1)
            else:
                yield _landed(path, status, "too_deep")

    @read
    @contextlib.contextmanager
    def open_binary(self, file: LandedFile) -> Iterator[BinaryIO]:
        path = self._path(file)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError as error:
            raise FileUnreadable(
                f"{file.uri} may not be read: {error.strerror}. Give the user that runs Airflow "
                "permission to read it, then clear the task. The other files went on."
            ) from error
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}:
                raise
            raise FileChanged(f"{file.uri} is gone, or no regular file any more.") from error
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            _check_unchanged(file, os.fstat(descriptor))
            yield stream
            _check_unchanged(file, os.fstat(descriptor))

    def _path(self, file: LandedFile) -> Path:
        path = Path(os.fsdecode(unquote_to_bytes(file.uri.removeprefix("file://"))))
        inside = path.parent.resolve().is_relative_to(self._root.resolve())
        if ".." in path.parts or not inside:
            raise FileChanged(f"{file.uri} does not lie in the landing zone {self.uri}.")
        return path


def _check_unchanged(file: LandedFile, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or _fingerprint(status) != file.fingerprint:
        raise FileChanged(
            f"{file.uri} was {file.size_bytes:,} bytes when it was listed and is being changed "
            f"({status.st_size:,} bytes now). It is taken when it has settled."
        )


def _landed(path: Path, status: os.stat_result, refused: str = "") -> LandedFile:
    return LandedFile(
        uri="file://" + quote_from_bytes(os.fsencode(path), safe=_SAFE),
        size_bytes=status.st_size,
        modified_at=_iso(status.st_mtime_ns),
        changed_at=_iso(max(status.st_ctime_ns, status.st_mtime_ns)),
        fingerprint=_fingerprint(status),
        refused=refused,
    )


def _fingerprint(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"


def _iso(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
    return moment.replace(microsecond=rest // 1000).isoformat()
