"""Which processes are ours, and how they end: by session, never by name.

Tasks run in process groups of their own, but stay in the session of the supervisor that started
them. The kernel gives a session's number to nobody else while one member lives, so after a crash
the remains are known exactly. Model services are in sessions of their own: they outlive the stack.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

_CLOCK_STEP_S = 30.0  # start times are read against a clock that may be set


def boot_id() -> str:
    """What tells this boot of the machine from another; '' where the system does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie has ended and only waits for its parent to notice."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def session_members(session: int, since: float) -> list[psutil.Process]:
    """Live processes of a session that began at `since` (seconds since the epoch).

    Empty if the number belongs to another session by now: to one with a live leader that started
    at another time.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        leader = psutil.Process(session)
        if is_alive(leader) and abs(leader.create_time() - since) > _CLOCK_STEP_S:
            return []
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session and is_alive(process):
                members.append(process)
    return members


def end(processes: Iterable[psutil.Process], grace_s: float) -> list[psutil.Process]:
    """SIGTERM, after `grace_s` SIGKILL; returns what is alive even then (normally nothing)."""
    waiting = list(processes)
    _signal(waiting, signal.SIGTERM)
    waiting = _wait(waiting, grace_s)
    _signal(waiting, signal.SIGKILL)
    return _wait(waiting, 5.0)


def end_session(session: int, since: float, grace_s: float) -> int:
    """End all members of a session, also those forked meanwhile; how many there were."""
    ended = 0
    for grace in (grace_s, 0.0, 0.0):
        members = [p for p in session_members(session, since) if p.pid != os.getpid()]
        if not members:
            break
        ended += len(members)
        end(members, grace)
    return ended


def orphans(session: int, since: float, parents: Iterable[int]) -> list[psutil.Process]:
    """Members of the session that descend from none of `parents`: what a dead one left behind."""
    kept = {os.getpid()}
    for pid in parents:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            kept |= {pid, *(child.pid for child in parent.children(recursive=True))}
    return [p for p in session_members(session, since) if p.pid not in kept]


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those still alive after at most `seconds`; zombies of others count as ended."""
    deadline = time.monotonic() + seconds
    while True:
        alive = [process for process in processes if is_alive(process)]
        if not alive or time.monotonic() >= deadline:
            return alive
        time.sleep(0.05)
