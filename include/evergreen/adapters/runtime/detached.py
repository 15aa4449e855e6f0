"""Starts a program that outlives whoever asked for it: own session, own limits, own log.

Run as a script (`python -I -S detached.py RECORD LOG MEMORY_BYTES PROGRAM ARGUMENT...`), in a fresh
interpreter, because forking inside a task that holds threads and OpenMP regions may hang. The
program's pid is on record before its first instruction, so a crash of the caller loses no process.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

_MAX_LOG_BYTES = 10 * 2**20
_OPEN_FILES = 4096


def main(arguments: list[str]) -> None:
    """Fork, become a session leader, fork again so that no terminal is ever ours, then exec."""
    record, log, memory_bytes, *program = arguments
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    _redirect(log)
    _limit(int(memory_bytes))
    unfinished = f"{record}.{os.getpid()}"
    with open(unfinished, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib costs start-up time
        json.dump({"pid": os.getpid(), "started_at": time.time()}, file)
    os.replace(unfinished, record)  # noqa: PTH105
    os.execv(program[0], program)  # noqa: S606 - the caller's own command, no shell


def _redirect(log: str) -> None:
    if os.path.exists(log) and os.path.getsize(log) > _MAX_LOG_BYTES:  # noqa: PTH110, PTH202
        os.replace(log, f"{log}.1")  # noqa: PTH105
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.closerange(3, 256)


def _limit(memory_bytes: int) -> None:
    """Data, core files and open files. RLIMIT_NPROC is left: it counts all of a user's processes.

    RLIMIT_DATA and not RLIMIT_AS: numeric libraries reserve far more addresses than they write to.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    main(sys.argv[1:])
