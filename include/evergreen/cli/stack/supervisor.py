"""Keeps the parts of the stack running: whatever dies is started again, with growing pauses.

`airflow standalone` leaves a killed triggerer dead and its log server behind; so each part is a
child of ours, and what a dead part leaves behind (workers of a killed scheduler) is ended before
the part starts again.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TextIO

import psutil

from include.evergreen.cli.stack import health, locks, processes
from include.evergreen.cli.stack.components import (
    API_SERVER,
    MLFLOW,
    Order,
    migration,
    orders,
)
from include.evergreen.cli.stack.environment import stack_environment
from include.evergreen.cli.stack.metadata import metadata
from include.evergreen.cli.stack.ports import HOST, is_free, reserve
from include.evergreen.cli.stack.state import (
    SUPERVISOR_LOCK,
    Component,
    StackState,
    log_file,
    write_state,
)
from include.evergreen.settings import PROJECT_ROOT, load

AIRFLOW_PORT, MLFLOW_PORT = 8080, 5000
POLL_S = 0.3
TASK_GRACE_S = 8.0  # the scheduler waits for its running tasks; what is cut off is tried again
STOP_GRACE_S = 5.0
PAUSES_S = (0.5, 2.0, 5.0, 15.0, 30.0)
STEADY_S = 60.0  # who ran this long starts again without a pause
LOG_BYTES = 20 * 2**20


def supervise(home: Path) -> int:
    """Detach, then run until SIGTERM. The parent returns at once; 1 if another supervisor runs."""
    if os.fork():
        return 0
    os.setsid()
    lock = _take_lock(home)
    if lock is None:
        return 1
    airflow_port, airflow_lock = reserve(AIRFLOW_PORT)
    mlflow_port, mlflow_lock = (0, lock)
    if not os.environ.get("EVERGREEN_MLFLOW_URI"):
        mlflow_port, mlflow_lock = reserve(MLFLOW_PORT)
    with lock, airflow_lock, mlflow_lock:
        Supervisor(home, airflow_port, mlflow_port).run()
    return 0


def _take_lock(home: Path) -> TextIO | None:
    """Who only looks whether the lock is held holds it for an instant: try a few times."""
    for _ in range(50):
        if (lock := locks.take(home / SUPERVISOR_LOCK)) is not None:
            return lock
        time.sleep(0.1)
    return None


@dataclass
class _Child:
    order: Order
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0
    quick_deaths: int = 0
    again_at: float = 0.0


class Supervisor:
    """The parent of all parts, in a session of its own. Single-threaded."""

    def __init__(self, home: Path, airflow_port: int, mlflow_port: int) -> None:
        self._home = home
        self._env = stack_environment(home, airflow_port, mlflow_port, os.environ)
        database = metadata(home, os.environ)
        self._ports = {API_SERVER: airflow_port, MLFLOW: mlflow_port}
        self._children = [_Child(order) for order in orders(home, mlflow_port, database.schedulers)]
        self._stopping = False
        self._since = psutil.Process().create_time()
        self._state = StackState(
            session=os.getpid(),
            started_at=self._since,
            boot_id=processes.boot_id(),
            airflow_url=f"http://{HOST}:{airflow_port}",
            mlflow_url=f"http://{HOST}:{mlflow_port}" if mlflow_port else load().mlflow_uri,
            schedulers=database.schedulers,
            database=database.digest,
        )

    def run(self) -> None:
        """Start everything, watch, and end the whole session when told to."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        self._publish()
        try:
            self._start_what_can_wait_for_nobody()
            if self._migrate():
                while not self._stopping:
                    self._tend()
                    time.sleep(POLL_S)
        finally:
            self._end_all()

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _start_what_can_wait_for_nobody(self) -> None:
        for child in self._children:
            if child.order.name == MLFLOW:
                self._start(child)

    def _migrate(self) -> bool:
        """Bring Airflow's database to this version, once a version; False if that failed."""
        stamp = self._home / "airflow" / ".migrated"
        wanted = f"{version('apache-airflow-core')} {self._state.database}".strip()
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return True
        order = migration()
        process = self._spawn(order)
        while process.poll() is None and not self._stopping:
            time.sleep(POLL_S)
        if process.returncode:
            said = health.tail(self._home, order.name)
            self._publish(failure=f"Airflow's database could not be made.\n{said}")
            return False
        stamp.write_text(wanted, encoding="utf-8")
        return not self._stopping

    def _tend(self) -> None:
        for child in self._children:
            if child.process is None:
                if time.monotonic() >= child.again_at:
                    self._start(child)
            elif child.process.poll() is not None:
                self._bury(child)

    def _start(self, child: _Child) -> None:
        child.process = self._spawn(child.order)
        child.started_at = time.time()
        self._publish()

    def _bury(self, child: _Child) -> None:
        """A part died: end what it left behind, and plan its next start."""
        code = child.process.returncode if child.process else None
        lived_s = time.time() - child.started_at
        child.process = None
        child.restarts += 1
        child.quick_deaths = 0 if lived_s > STEADY_S else child.quick_deaths + 1
        pause = PAUSES_S[min(child.quick_deaths, len(PAUSES_S) - 1)]
        child.again_at = time.monotonic() + pause
        alive = [c.process.pid for c in self._children if c.process is not None]
        left = processes.orphans(os.getpid(), self._since, alive)
        processes.end(left, grace_s=0)
        port = self._ports.get(child.order.name)
        if port and not is_free(port):
            self._publish(failure=f"Another program has taken port {port}: `make up` once more.")
            self._stopping = True
        _say(
            f"{child.order.name} ended after {lived_s:.0f} s (status {code}); ended {len(left)} "
            f"processes that it left; it starts again in {pause:g} s"
        )
        self._publish()

    def _spawn(self, order: Order) -> subprocess.Popen[bytes]:
        path = log_file(self._home, order.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            process = subprocess.Popen(
                order.argv,
                env=self._env,
                cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        _say(f"started {order.name}, pid {process.pid}")
        return process

    def _publish(self, failure: str = "") -> None:
        parts = {
            child.order.name: Component(child.process.pid, child.started_at, child.restarts)
            for child in self._children
            if child.process is not None
        }
        self._state = dataclasses.replace(
            self._state, components=parts, failure=failure or self._state.failure
        )
        write_state(self._home, self._state)

    def _end_all(self) -> None:
        """Schedulers first, while their tasks can still report; then the rest; then what is left.

        Tasks are never sent SIGTERM: that would count as a failure of theirs.
        """
        running = [child for child in self._children if child.process is not None]
        first = [child for child in running if child.order.runs_tasks]
        for group, grace_s in ((first, TASK_GRACE_S), (running, STOP_GRACE_S)):
            _terminate([child.process for child in group if child.process], grace_s)
        left = processes.end_session(os.getpid(), self._since, grace_s=0)
        for child in running:
            if child.process is not None:
                child.process.wait()
                child.process = None
        self._publish()
        _say(f"stopped; {left} processes had to be ended by force")


def _terminate(group: list[subprocess.Popen[bytes]], grace_s: float) -> None:
    """SIGTERM to these alone, and up to `grace_s` for all of them to end."""
    for process in group:
        process.terminate()
    deadline = time.monotonic() + grace_s
    while any(process.poll() is None for process in group) and time.monotonic() < deadline:
        time.sleep(0.05)


def _say(text: str) -> None:
    sys.stdout.write(f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} {text}\n")
    sys.stdout.flush()
