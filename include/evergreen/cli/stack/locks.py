"""Locks that the kernel releases when their holder dies: no stale lock file can block anybody."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from include.evergreen.errors import Unavailable


def take(path: Path) -> TextIO | None:
    """The open file that holds the lock, or None while somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder.close()
        return None
    return holder


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock now."""
    if not path.exists():
        return False
    holder = take(path)
    if holder is None:
        return True
    holder.close()
    return False


@contextlib.contextmanager
def held(path: Path, wait_s: float, what: str) -> Iterator[None]:
    """Hold the lock, waiting for it if need be.

    Raises:
        Unavailable: it was not given back within `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    while (holder := take(path)) is None:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"{what} has been waiting {wait_s:.0f} s for another command that starts or stops "
                "the same stack. Let it end, or end it, and try again."
            )
        time.sleep(0.2)
    with holder:
        yield
