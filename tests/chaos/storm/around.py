"""Faults of what stands around Airflow: proxies, the ledger's connections, the disk, the engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

from tests.chaos.storm.place import Place
from tests.chaos.storm.proxy import Mode, ProxyProcess

Fault = Callable[[Place, Random], dict[str, Any]]
#: How long a fault holds, in seconds.
_HOLDS = (2.0, 7.0)
#: A deploy or a release is waited for so long, to be disturbed in the middle.
_DEPLOY_WITHIN_S = 60.0
_IN_DEPLOY = (
    *("build_image", "start_and_verify", "promote_to_staging"),
    *("start_in_production", "shift_traffic", "watch_release"),
)


def _troubled(name: str, mode: Mode) -> Fault:
    """A proxy (an attribute of the place) behaves so for a while."""

    def fault(place: Place, rng: Random) -> dict[str, Any]:
        proxy: ProxyProcess = getattr(place, name)
        seconds = rng.uniform(*_HOLDS)
        proxy.become(mode)
        try:
            time.sleep(seconds)
        finally:
            proxy.become("pass")
        return {"seconds": round(seconds, 1)}

    return fault


def end_ledger_connections(place: Place, rng: Random) -> dict[str, Any]:
    """Every backend of the ledger's database is terminated, several times in a few seconds."""
    assert place.cluster is not None
    ended = 0
    for _ in range(rng.randint(3, 12)):
        rows = place.cluster.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname LIKE 'test_%' AND pid <> pg_backend_pid()"
        )
        ended += len(rows)
        time.sleep(rng.uniform(0.05, 0.6))
    return {"connections": ended}


def fill_disk(place: Place, rng: Random) -> dict[str, Any]:
    return dict(place.disk.fill(rng.uniform(*_HOLDS)))


def restart_engine(place: Place, rng: Random) -> dict[str, Any]:
    """The engine is killed, or stopped in order, while a deploy or a release uses it."""
    assert place.engine is not None
    task = rng.choice(_IN_DEPLOY)
    deadline = time.monotonic() + _DEPLOY_WITHIN_S
    while "running" not in place.airflow.states(task) and time.monotonic() < deadline:
        time.sleep(0.1)
    met = time.monotonic() < deadline
    time.sleep(rng.uniform(0.0, 0.6))
    kill = rng.random() < 0.5
    down_s = rng.uniform(0, 4)
    place.engine.restart(kill=kill, after_s=down_s)
    return {
        "during": task if met else "no deploy",
        "signal": "SIGKILL" if kill else "SIGTERM",
        "down_s": round(down_s, 1),
    }


FAULTS: dict[str, Fault] = {
    "MLflow reset": _troubled("mlflow", "reset"),
    "MLflow delayed": _troubled("mlflow", "delay"),
    "MLflow blackholed": _troubled("mlflow", "blackhole"),
    "S3 reset": _troubled("s3", "reset"),
    "S3 delayed": _troubled("s3", "delay"),
    "S3 blackholed": _troubled("s3", "blackhole"),
    "ledger connections ended": end_ledger_connections,
    "disk full": fill_disk,
    "engine restarted": restart_engine,
}
