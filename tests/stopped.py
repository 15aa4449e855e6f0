"""A real process that is stopped (SIGSTOP) in the middle of a stage, and wakes much later."""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger import engine
from include.evergreen.errors import EvergreenError
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.resources import Resources

#: Short, so that a test need not wait; a process that runs renews it four times as often.
LEASE_S = 1.5
_context = multiprocessing.get_context("forkserver")  # a fork after a fit would hang
_context.set_forkserver_preload(["tests.stopped_stages"])

Stage = Callable[..., Any]


class Stopped:
    """A stage in a process of its own, stopped at a point of the code."""

    def __init__(self, process: Any, said: Path) -> None:
        self._process, self._said = process, said

    def wake(self, timeout_s: float = 120) -> str:
        """Let it go on, and say how it ended: the name of its error, or 'done'."""
        os.kill(self._process.pid, signal.SIGCONT)
        self._process.join(timeout_s)
        assert self._process.exitcode == 0, f"exit code {self._process.exitcode}"
        return str(json.loads(self._said.read_text())["ended"])


@contextlib.contextmanager
def stopped(
    stage: Stage, arguments: tuple[Any, ...], of: Resources, *, at: str, when: str, folder: Path
) -> Iterator[Stopped]:
    """Start `stage(resources, *arguments)` as 'first run', and wait until it has stopped itself.

    Args:
        stage: a function that the process can import.
        arguments: what it is given after the resources.
        of: spec and settings.
        at: `module:name` or `module:Class.name` of the function at whose call it stops.
        when: 'before' it is run, or 'after', with what it did done and not yet known.
        folder: where it says how it ended.
    """
    said = folder / "said.json"
    spec, home = of.spec.model_dump(mode="json", exclude_unset=True), str(of.settings.home)
    process = _context.Process(target=_run, args=(stage, arguments, spec, home, at, when, said))
    process.start()
    try:
        _wait_until_stopped(process)
        yield Stopped(process, said)
    finally:
        if process.is_alive():
            process.kill()
        process.join()


def _wait_until_stopped(process: Any, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not _is_stopped(process.pid):
        assert process.is_alive(), "it ended before it came to the point"
        assert time.monotonic() < deadline, "it never came to the point"
        time.sleep(0.02)


def _is_stopped(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _run(
    stage: Stage,
    arguments: tuple[Any, ...],
    spec: dict[str, Any],
    home: str,
    at: str,
    when: str,
    said: Path,
) -> None:
    settings = evergreen_settings.load({"EVERGREEN_HOME": home})
    resources = Resources(ModelSpec.model_validate(spec), settings, "first run", LEASE_S)
    _stop_at(at, when)
    try:
        stage(resources, *arguments)
    except EvergreenError as error:
        ended = type(error).__name__
    else:
        ended = "done"
    said.write_text(json.dumps({"ended": ended}))


def _stop_at(at: str, when: str) -> None:
    module, _, names = at.partition(":")
    owner: Any = importlib.import_module(module)
    *path, name = names.split(".")
    for part in path:
        owner = getattr(owner, part)
    true = getattr(owner, name)

    between = _between_transactions()
    stops = iter([True])  # once: who makes good what it did comes by again

    def stopping(*args: Any, **kwargs: Any) -> Any:
        if when == "before" and next(stops, False):
            _stop(between)
        made = true(*args, **kwargs)
        if when == "after" and next(stops, False):
            _stop(between)
        return made

    setattr(owner, name, stopping)


def _stop(between: threading.RLock) -> None:
    with between:
        os.kill(os.getpid(), signal.SIGSTOP)


def _between_transactions() -> threading.RLock:
    """A lock under which no other thread of this process is in the middle of a ledger write.

    A process stopped just there holds SQLite's own lock: nobody can write before it wakes.
    """
    lock, true = threading.RLock(), engine.writing

    @contextlib.contextmanager
    def writing(*args: Any) -> Iterator[Any]:
        with lock, true(*args) as connection:
            yield connection

    engine.writing = writing
    return lock
