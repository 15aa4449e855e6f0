"""Real processes that use one ledger at once, and may die at it."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["include.evergreen.adapters.ledger", __name__])

#: What a process is given to do: the ledger's URL, its own number, and where to say what it saw.
Work = Callable[[str, int, Callable[[Any], None]], None]


def run_at_once(work: Work, url: str, count: int, folder: Path) -> list[list[Any]]:
    """Start `count` processes at one instant; what each one said, also before it was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    barrier = _context.Barrier(count)
    processes = [
        _context.Process(target=_run, args=(work, url, number, folder / f"{number}.log", barrier))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    hung = [process for process in processes if process.exitcode is None]
    for process in hung:
        process.kill()
    assert not hung, f"{len(hung)} of {count} processes hang"
    failed = [p.exitcode for p in processes if p.exitcode not in {0, -9}]
    assert not failed, f"{len(failed)} of {count} processes failed; see the captured stderr"
    return [
        [json.loads(line) for line in (folder / f"{number}.log").read_text().splitlines()]
        for number in range(count)
    ]


def start(work: Work, url: str, log: Path) -> multiprocessing.process.BaseProcess:
    """Start one process and leave it running."""
    process = _context.Process(target=_run, args=(work, url, 0, log, None))
    process.start()
    return process


def _run(work: Work, url: str, number: int, log: Path, barrier: Any) -> None:
    with log.open("a", buffering=1) as file:
        if barrier is not None:
            barrier.wait(30)
        work(url, number, lambda seen: print(json.dumps(seen), file=file, flush=True))
