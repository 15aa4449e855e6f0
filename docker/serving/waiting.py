"""Answers that wait for the next who takes them: a queue without waiting, of bounded size."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar


class Rows(Protocol):
    """An answer to a request of so many rows."""

    @property
    def n_rows(self) -> int: ...


R = TypeVar("R", bound=Rows)


class WaitingRows(Generic[R]):
    """At most so many rows, for any number of threads; what does not fit is dropped and counted."""

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._lock = threading.Lock()
        self._entries: deque[R] = deque()
        self._since = 0.0
        self.rows = 0
        self.dropped = 0

    def offer(self, entry: R) -> None:
        """Take an answer if there is room; drop and count it if not. Never waits, never raises."""
        with self._lock:
            if self.rows + entry.n_rows > self._most_rows:
                self.dropped += entry.n_rows
                return
            if not self._entries:
                self._since = time.monotonic()
            self._entries.append(entry)
            self.rows += entry.n_rows

    def waited_s(self, now: float) -> float:
        """How long ago the first of them came, or some were last taken."""
        return now - self._since

    def take(self, rows: int, now: float) -> list[R]:
        """The oldest, until they hold so many rows or none is left."""
        with self._lock:
            entries: list[R] = []
            taken = 0
            while self._entries and taken < rows:
                entries.append(self._entries.popleft())
                taken += entries[-1].n_rows
            self.rows -= taken
            self._since = now
            return entries

    def put_back(self, entries: Sequence[R]) -> None:
        """For another try, before all others; new ones are dropped while there is no room."""
        with self._lock:
            self._entries.extendleft(reversed(entries))
            self.rows += rows_of(entries)

    def drop(self, rows: int) -> None:
        """Count rows as dropped that were taken and cannot be written."""
        with self._lock:
            self.dropped += rows

    def drop_all(self) -> None:
        with self._lock:
            self.dropped += self.rows
            self._entries.clear()
            self.rows = 0


def rows_of(entries: Sequence[Rows]) -> int:
    return sum(entry.n_rows for entry in entries)
