"""Keeps what was served as Parquet segments: the queue and the disk of the log's writer.

`offer` puts a finished answer into a bounded queue. One thread makes segments of it: written under
a name that starts with a dot, flushed to disk, then renamed. What does not fit (queue full, disk
full, more on disk than allowed) is dropped and counted, never an error for anybody's request.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import secrets
import threading
import time
from pathlib import Path

from segments import Entry, SegmentWriter
from waiting import WaitingRows, rows_of

log = logging.getLogger("evergreen.spool")

_TICK_S = 0.25
_RETRY_S = 5.0


class Spool:
    """The request log of one running service."""

    def __init__(
        self,
        directory: Path,
        writer: SegmentWriter,
        *,
        segment_rows: int = 20_000,
        segment_s: float = 10.0,
        max_waiting_rows: int = 50_000,
        max_disk_bytes: int = 2**30,
    ) -> None:
        self._directory = directory
        self._writer = writer
        self._segment_rows = segment_rows
        self._segment_s = segment_s
        self._max_disk_bytes = max_disk_bytes
        self._lock = threading.Lock()
        self._waiting: WaitingRows[Entry] = WaitingRows(max_waiting_rows)
        self._not_before = 0.0
        # Names stay unique over restarts, also of two services that share a clock tick.
        self._token = secrets.token_hex(4)
        self._sequence = 0
        self._counts = {"rows_written": 0, "segments": 0, "failures": 0}
        self._last_error = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, entry: Entry) -> None:
        """Take an answer if there is room; drop and count it if not. Never waits, never raises."""
        self._waiting.offer(entry)

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what waits; whatever cannot be written by then is counted as dropped."""
        self._stop.set()
        self._thread.join(timeout_s)
        stats = self.stats()
        log.info("Spool closed: %s", stats)

    def stats(self) -> dict[str, int | str]:
        """Counters since the start, rows that wait, and the last failure (empty: none)."""
        with self._lock:
            return {
                **self._counts,
                "rows_dropped": self._waiting.dropped,
                "rows_waiting": self._waiting.rows,
                "last_error": self._last_error,
            }

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            self._write_due(time.monotonic(), closing=False)
        while self._write_due(time.monotonic(), closing=True):
            pass
        self._waiting.drop_all()

    def _write_due(self, now: float, *, closing: bool) -> bool:
        """Write one segment if it is due; whether one was written."""
        entries = self._due(now, closing=closing)
        if not entries:
            return False
        try:
            self._write(self._writer.content(entries))
        except OSError as error:
            self._waiting.put_back(entries)
            self._not_before = now + _RETRY_S
            self._failed(error)
            return False
        except BaseException as error:  # noqa: BLE001 - a panic of the Rust writer is nothing less
            self._waiting.drop(rows_of(entries))
            self._failed(error)
            return not isinstance(error, MemoryError)
        with self._lock:
            self._counts["rows_written"] += rows_of(entries)
            self._counts["segments"] += 1
        return True

    def _due(self, now: float, *, closing: bool) -> list[Entry]:
        full = self._waiting.rows >= self._segment_rows
        aged = self._waiting.waited_s(now) >= self._segment_s
        if closing or ((full or aged) and now >= self._not_before):
            return self._waiting.take(self._segment_rows, now)
        return []

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            self._counts["failures"] += 1
            self._last_error = f"{type(error).__name__}: {error}"[:300]
        log.warning("A segment could not be written: %s", self._last_error)

    def _write(self, content: bytes) -> None:
        used = sum(
            entry.stat().st_size
            for entry in os.scandir(self._directory)
            if entry.name.endswith(".parquet")
        )
        if used + len(content) > self._max_disk_bytes:
            raise OSError(
                f"{used:,} bytes of segments wait in {self._directory} to be collected; at most "
                f"{self._max_disk_bytes:,} may. Run the model's monitor DAG."
            )
        self._sequence += 1
        now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%fZ")
        name = f"{now}-{self._token}-{self._sequence:06d}.parquet"
        unfinished = self._directory / f".{name}.tmp"
        try:
            with unfinished.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self._directory / name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
