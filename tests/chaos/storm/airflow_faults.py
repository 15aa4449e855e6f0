"""Faults of Airflow itself: events that come wrongly or not, clears, and processes that die."""

from __future__ import annotations

import contextlib
import time
from random import Random
from typing import Any

import psutil

from tests.chaos.storm.around import Fault
from tests.chaos.storm.place import Place

#: A task to kill, or to clear while it runs, is waited for so long.
_TASK_WITHIN_S = 30.0
#: An event to drop, likewise.
_EVENT_WITHIN_S = 30.0


def duplicate_events(place: Place, rng: Random) -> dict[str, Any]:
    """The same event many times over, all at once."""
    asset = rng.choice(sorted(place.airflow.assets()))
    times = rng.randint(2, 8)
    for _ in range(times):
        place.airflow.send(asset)
    return {"asset": asset, "times": times}


def reorder_events(place: Place, rng: Random) -> dict[str, Any]:
    """Every asset has an event, in an order that never happens by itself."""
    assets = rng.sample(sorted(place.airflow.assets()), len(place.airflow.assets()))
    for asset in assets:
        place.airflow.send(asset)
    return {"assets": assets}


def delay_events(place: Place, rng: Random) -> dict[str, Any]:
    """What comes within some seconds comes later instead."""
    held = _drop_for(place, rng.uniform(3, 8))
    time.sleep(rng.uniform(1, 5))
    for asset in held:
        place.airflow.send(asset)
    return {"assets": held}


def drop_events(place: Place, rng: Random) -> dict[str, Any]:
    """What comes within some seconds never arrives."""
    return {"assets": _drop_for(place, rng.uniform(3, 10))}


def _drop_for(place: Place, seconds: float) -> list[str]:
    """For so long, and until there was one to drop."""
    gone: list[str] = []
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds or (not gone and waited < _EVENT_WITHIN_S):
        gone += place.airflow.drop_events()
        time.sleep(0.02)
    return gone


def clear_running(place: Place, rng: Random) -> dict[str, Any]:
    deadline = time.monotonic() + _TASK_WITHIN_S
    cleared = ""
    while not cleared and time.monotonic() < deadline:
        cleared = place.airflow.clear(rng, running=True)
    return {"task": cleared or "none ran"}


def clear_old(place: Place, rng: Random) -> dict[str, Any]:
    return {"task": place.airflow.clear(rng, running=False) or "there is no old run"}


def _killed(part: str) -> Fault:
    def fault(place: Place, rng: Random) -> dict[str, Any]:
        return {"pid": place.airflow.kill(part)}

    return fault


def kill_task(place: Place, rng: Random) -> dict[str, Any]:
    """The process of a task alone: its supervisor sees it at once."""
    return _kill(place, rng, with_worker=False)


def kill_worker(place: Place, rng: Random) -> dict[str, Any]:
    """A task and who watches over it: only the missing heartbeat tells."""
    return _kill(place, rng, with_worker=True)


def _kill(place: Place, rng: Random, *, with_worker: bool) -> dict[str, Any]:
    """Whichever task runs next, some time into it; one that just ended is no victim."""
    deadline = time.monotonic() + _TASK_WITHIN_S
    while time.monotonic() < deadline:
        running = place.airflow.running_tasks()
        time.sleep(rng.uniform(0.05, 0.5))
        if not running:
            continue
        victim = rng.choice(running)
        with contextlib.suppress(psutil.NoSuchProcess):
            if with_worker:
                victim.worker.suspend()  # or it would tell how its task died
            victim.task.kill()
            if with_worker:
                victim.worker.kill()
            return {"task": victim.name}
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.worker.resume()
    return {"task": "none ran"}


FAULTS: dict[str, Fault] = {
    "events duplicated": duplicate_events,
    "events reordered": reorder_events,
    "events delayed": delay_events,
    "events dropped": drop_events,
    "running task cleared": clear_running,
    "old run cleared": clear_old,
    "scheduler killed": _killed("scheduler"),
    "triggerer killed": _killed("triggerer"),
    "dag processor killed": _killed("dag-processor"),
    "task killed": kill_task,
    "worker killed": kill_worker,
}
