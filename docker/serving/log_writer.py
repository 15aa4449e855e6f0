"""The process that makes segments of what was served: `prediction_log` starts it and feeds it.

Reads frames from standard input (four bytes of length, then the content): the order as JSON, then
one for each entry. Ends when its input does, after writing what it has. Says its counters on
standard output, a line of JSON whenever they changed.
"""

from __future__ import annotations

import json
import logging
import marshal
import os
import signal
import sys
import threading
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent))

from segments import Entry, SegmentWriter
from spool import Spool

_TICK_S = 0.2


def frame(pipe: IO[bytes]) -> bytes:
    """The next one; empty at the end."""
    size = int.from_bytes(pipe.read(4), "big")
    return pipe.read(size)


class Reporter:
    """Says what the spool counts, from a thread of its own."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._said = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(_TICK_S):
            self._say()

    def _say(self) -> None:
        line = json.dumps(self._spool.stats())
        if line != self._said:
            self._said = line
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._say()


def main() -> int:
    # Who answers ends us by closing our input; a signal to the whole group is its business.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)  # answers first
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    pipe = sys.stdin.buffer
    order = json.loads(frame(pipe))
    spool = Spool(
        Path(order["directory"]),
        SegmentWriter(
            order["contract"],
            order["version"],
            order["classes"],
            private=order["private"],
            salt=order["salt"],
        ),
        segment_s=order["segment_s"],
        max_disk_bytes=order["max_disk_bytes"],
    )
    spool.start()
    reporter = Reporter(spool)
    while content := frame(pipe):
        spool.offer(Entry(*marshal.loads(content)))  # noqa: S302 - from who started us
    spool.close()
    reporter.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
