"""Locks that the kernel lets go of when their holder dies."""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.evergreen.effects import effect, read


class JournalLock:
    """Optuna's own locks are files that stay when their holder is killed; this one does not."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held: io.BufferedRandom | None = None

    @effect
    def acquire(self) -> bool:
        self._held = Path(f"{self._journal}.lock").open("a+b")  # noqa: SIM115 - held until release
        fcntl.flock(self._held, fcntl.LOCK_EX)
        _cut_torn_line(self._journal)
        return True

    @read
    def release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def _cut_torn_line(journal: Path) -> None:
    """Cut off what a killed writer left of its last line; it never counted."""
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process at a time; the kernel lets go of the lock when its holder dies."""
    with lock.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
