"""Keeps what was served without a cost to who asked: a second process makes the segments of it.

Making Parquet holds the interpreter for milliseconds, longer than many answers take, so none of it
happens in the process that answers. There `offer` turns an answer into bytes, a few µs of every
answer instead of milliseconds of some, and appends them to a bounded queue; a thread hands them on
through a pipe. What the writer cannot take (a full disk, a slow one, none at all) fills the queue,
and then rows are dropped and counted. No answer ever waits for the log.
"""

from __future__ import annotations

import contextlib
import json
import logging
import marshal
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from segments import Entry, Packed
from waiting import WaitingRows, rows_of

log = logging.getLogger("evergreen.log")

_TICK_S = 0.2
#: As much is handed on at a time.
_PIECE_ROWS = 500
_RETRY_S = 5.0
_COUNTED = ("rows_written", "rows_dropped", "segments", "failures")


@dataclass(frozen=True)
class LogOrder:
    """What the writer is told: of what and where it makes segments, and its limits."""

    directory: str
    contract: dict[str, Any]
    version: int
    classes: list[Any] | None
    segment_s: float = 10.0
    max_disk_bytes: int = 2**30
    #: Columns that are not kept as they came: `hash` (a text) or `leave_out`.
    private: dict[str, str] = field(default_factory=dict)
    salt: str = ""


class Sealed(NamedTuple):
    """An answer as the pipe takes it: a frame of its own."""

    frame: bytes
    n_rows: int


class PredictionLog:
    """The request log of one running service; a share of the requests, drawn one by one."""

    def __init__(
        self, order: LogOrder, *, share: float = 1.0, max_waiting_rows: int = 50_000
    ) -> None:
        self._order = order
        self._share = share
        self._draw = random.random
        self._lock = threading.Lock()
        self._waiting: WaitingRows[Sealed] = WaitingRows(max_waiting_rows)
        self._sent = 0  # rows that this writer was given
        self._reported: Counter[str] = Counter()  # what this writer said
        self._counts: Counter[str] = Counter()  # our own, and of writers that ended
        self._last_error = ""
        self._writer: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def offer(self, entry: Entry) -> None:
        """Take an answer if there is room; drop and count it if not. Never waits, never raises."""
        if self._share < 1.0 and self._draw() >= self._share:
            return
        try:
            self._waiting.offer(sealed(entry))
        except ValueError as error:  # a value that is not plain: the log goes on without it
            self._waiting.drop(entry.n_rows)
            self._note(f"{entry.n_rows} rows cannot be handed on: {error}")

    def close(self, timeout_s: float = 5.0) -> None:
        """Have written what waits; whatever is not by then is counted as dropped."""
        self._stop.set()
        self._thread.join(timeout_s)
        writer = self._writer
        if writer is not None:
            _killed(writer)
        log.info("Prediction log closed: %s", self.stats())

    def stats(self) -> dict[str, int | str]:
        """Counters since the start, rows that wait, and the last failure (empty: none)."""
        with self._lock:
            said = {name: self._counts[name] + self._reported[name] for name in _COUNTED}
            return {
                **said,
                "rows_dropped": said["rows_dropped"] + self._waiting.dropped,
                "rows_waiting": self._waiting.rows + self._sent - self._settled(),
                "last_error": self._last_error,
            }

    def _settled(self) -> int:
        return self._reported["rows_written"] + self._reported["rows_dropped"]

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            self._hand_on()
        self._hand_on()
        self._end_writer()
        self._waiting.drop_all()

    def _hand_on(self) -> None:
        """Give the writer all that waits, one piece after the other."""
        while self._waiting.rows and time.monotonic() >= self._not_before:
            try:
                pipe = self._pipe()
            except OSError as error:
                self._failed(f"The writer does not start: {error}")
                return
            piece = self._waiting.take(_PIECE_ROWS, time.monotonic())
            with self._lock:
                self._sent += rows_of(piece)
            try:
                pipe.write(b"".join(one.frame for one in piece))
                pipe.flush()
            except OSError:
                self._writer_is_gone()
                return

    def _pipe(self) -> IO[bytes]:
        """To a writer that runs: one is started where there is none."""
        writer = self._writer
        if writer is None or writer.poll() is not None:
            if writer is not None:
                self._writer_is_gone()
            program = Path(__file__).with_name("log_writer.py")
            writer = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [sys.executable, "-I", str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            self._writer = writer
            threading.Thread(target=self._listen, args=(writer,), daemon=True).start()
            assert writer.stdin is not None
            writer.stdin.write(framed(json.dumps(asdict(self._order)).encode()))
        assert writer.stdin is not None
        return writer.stdin

    def _listen(self, writer: subprocess.Popen[bytes]) -> None:
        """Take in what a writer says of itself, a line of JSON at a time."""
        assert writer.stdout is not None
        with writer.stdout as lines:
            for line in lines:
                said = json.loads(line)
                with self._lock:
                    if writer is self._writer:
                        self._reported = Counter({name: said[name] for name in _COUNTED})
                        self._last_error = said["last_error"] or self._last_error

    def _writer_is_gone(self) -> None:
        """What a writer had and did not report as written is dropped; another is started later."""
        writer, self._writer = self._writer, None
        status = None if writer is None else _killed(writer)
        with self._lock:
            self._settle_writer()
            self._counts["failures"] += 1
        self._failed(f"The writer ended with status {status}.")

    def _settle_writer(self) -> None:
        self._counts["rows_dropped"] += self._sent - self._settled()
        self._counts.update(self._reported)
        self._sent, self._reported = 0, Counter()

    def _failed(self, why: str) -> None:
        self._not_before = time.monotonic() + _RETRY_S
        self._note(f"Nothing is kept of what is served for {_RETRY_S:g} s: {why}")

    def _note(self, why: str) -> None:
        """Remember it, and log what is new."""
        with self._lock:
            new, self._last_error = why[:300] != self._last_error, why[:300]
        if new:
            log.warning("%s", why)

    def _end_writer(self) -> None:
        """The writer writes what it has once its pipe is closed, says so, and ends."""
        writer = self._writer
        if writer is None:
            return
        assert writer.stdin is not None
        assert writer.stdout is not None
        try:
            writer.stdin.close()
        except OSError:
            log.warning("The writer was gone when its last rows were to be written.")
        writer.wait()
        deadline = time.monotonic() + 1
        while self.stats()["rows_waiting"] and time.monotonic() < deadline:
            time.sleep(0.01)  # its last line is on the way
        with self._lock:
            self._settle_writer()
            self._writer = None  # a line that comes later has been counted


def _killed(writer: subprocess.Popen[bytes]) -> int:
    """The status of a writer, once it has ended for sure."""
    writer.kill()
    assert writer.stdin is not None
    with contextlib.suppress(OSError):  # what is left in its buffer has no reader
        writer.stdin.close()
    return writer.wait()


def sealed(entry: Entry) -> Sealed:
    """The entry as a frame for the pipe.

    Raises:
        ValueError: it holds a value that is no plain one.
    """
    return Sealed(framed(marshal.dumps(plain(entry))), entry.n_rows)


def framed(content: bytes) -> bytes:
    """As `log_writer.frame` reads it."""
    return len(content).to_bytes(4, "big") + content


def plain(entry: Entry) -> tuple[Any, ...]:
    """The entry as a pipe takes it: arrays without a gap are `Packed`, other columns are lists."""
    if entry.alone:
        return tuple(entry)
    columns = {name: _handed_on(values) for name, values in entry.columns.items()}
    predictions = {name: _handed_on(values) for name, values in entry.predictions.items()}
    return (entry.request_id, entry.time_us, columns, predictions, entry.n_rows, False)


def _handed_on(column: Any) -> list[Any] | Packed:
    if not isinstance(column, np.ndarray):
        return list(column)
    kind = column.dtype.kind
    if kind == "f":
        doubles = column.astype(np.float64, copy=False)
        return doubles.tolist() if np.isnan(doubles).any() else ("d", doubles.tobytes())
    if kind != "M":
        listed: list[Any] = column.tolist()
        return listed
    micros, gone = column.astype(np.int64), np.isnat(column)
    if not gone.any():
        return ("q", micros.tobytes())
    return [None if g else v for v, g in zip(micros.tolist(), gone.tolist(), strict=True)]
