"""What a storm does to Airflow: events through its API, rows gone from its database, kills."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from include.evergreen.cli.airflow_api import AirflowApi, AirflowRefused
from include.evergreen.cli.stack.state import read_state
from include.evergreen.errors import Unavailable
from tests.chaos.storm.model import MODEL

_WORKER = "airflow worker -- LocalExecutor: "
_INSIST_S = 30.0
_POLL_S = 0.5
STAGES = ("ingest", "train", "deploy", "release", "monitor")
_LONG_AGO = "2026-01-01T00:00:00Z"
DAGS = tuple(f"{MODEL}.{stage}" for stage in STAGES)


@dataclass(frozen=True)
class Running:
    """A task under way: the worker that supervises it, and its own process."""

    name: str
    worker: psutil.Process
    task: psutil.Process


class AirflowHands:
    """One running stack's Airflow."""

    def __init__(self, home: Path, api: AirflowApi) -> None:
        self._home, self._api = home, api
        self._assets: dict[str, int] = {}

    # --- events ---------------------------------------------------------------------------------

    def assets(self) -> dict[str, int]:
        """The model's assets, and their numbers in Airflow."""
        if not self._assets:
            found = self._api._call("GET", "/assets", query={"limit": 100})["assets"]
            self._assets = {a["name"]: a["id"] for a in found if a["name"].startswith(MODEL)}
        return self._assets

    def send(self, asset: str) -> None:
        """An event for an asset, as if it had come (again)."""
        self._post("/assets/events", {"asset_id": self.assets()[asset], "extra": {}})

    def drop_events(self) -> list[str]:
        """Take away every event that has not woken its DAG yet; the assets they were for."""
        names = {number: name for name, number in self.assets().items()}
        with self._database() as database:
            gone = database.execute("SELECT asset_id FROM asset_dag_run_queue").fetchall()
            if gone:  # a write locks Airflow out for a moment
                gone = database.execute(
                    "DELETE FROM asset_dag_run_queue RETURNING asset_id"
                ).fetchall()
        return [names.get(asset, str(asset)) for (asset,) in gone]

    # --- runs and tasks -------------------------------------------------------------------------

    def under_way(self) -> list[str]:
        """Runs that are queued or running, of every DAG."""
        found: list[str] = []
        for state in ("queued", "running"):
            answer = self._api._call("GET", "/dags/~/dagRuns", query={"state": state, "limit": 50})
            found += [f"{r['dag_id']} {state} {r['dag_run_id']}" for r in answer["dag_runs"]]
        return found

    def clear(self, rng: random.Random, *, running: bool) -> str:
        """Clear a task of a run that goes on, or of one that is over; which. '' where none is."""
        chosen = self._some_task(rng, running=running)
        if chosen is None:
            return ""
        dag_id, run_id, task_id = chosen
        body = {
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
            "include_downstream": rng.random() < 0.5,
            "dag_run_id": run_id,
            "task_ids": [task_id],
        }
        self._post(f"/dags/{quote(dag_id)}/clearTaskInstances", body)
        return f"{dag_id} {run_id} {task_id}"

    def _some_task(self, rng: random.Random, *, running: bool) -> tuple[str, str, str] | None:
        for dag_id in rng.sample(DAGS, len(DAGS)):
            for run in self._api.runs(dag_id, _LONG_AGO, limit=12):
                if run.is_over == running:
                    continue
                tasks = [
                    task.task_id
                    for task in self._api.tasks(run)
                    if (task.state == "running" if running else task.state)
                ]
                if tasks:
                    return dag_id, run.run_id, rng.choice(tasks)
        return None

    def pause_when_still(self) -> None:
        """From now on nothing is under way and nothing begins: a paused run would never end."""
        while True:
            while self.under_way():
                time.sleep(_POLL_S)
            self._set_paused(True)
            if not self.under_way():
                return
            self._set_paused(False)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is under way meanwhile."""
        self.pause_when_still()
        try:
            yield
        finally:
            self._set_paused(False)

    def _set_paused(self, paused: bool) -> None:
        """Whether the model's DAGs start something."""
        for dag_id in DAGS:
            self._api._call("PATCH", f"/dags/{quote(dag_id)}", {"is_paused": paused})

    def states(self, task_id: str) -> list[str]:
        """In which state each try of a task of this name stands that is not over."""
        with self._database() as database:
            rows = database.execute(
                "SELECT state FROM task_instance WHERE task_id = ? AND state IN "
                "('running', 'queued', 'scheduled')",
                (task_id,),
            ).fetchall()
        return [state for (state,) in rows]

    def _post(self, path: str, body: dict[str, Any]) -> None:
        """Airflow's own SQLite may be locked by all that goes on: then it is asked again."""
        deadline = time.monotonic() + _INSIST_S
        while True:
            try:
                self._api._call("POST", path, body)
            except (AirflowRefused, Unavailable) as error:
                status = getattr(error, "status", 500)
                if status < 500 or time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
            else:
                return

    # --- processes ------------------------------------------------------------------------------

    def kill(self, part: str) -> int | None:
        """SIGKILL to a part of the stack; its pid, None while it is down anyway."""
        state = read_state(self._home)
        found = state.components.get(part) if state else None
        if found is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGKILL)
        return found.pid

    def running_tasks(self) -> list[Running]:
        """Tasks whose processes run now."""
        state = read_state(self._home)
        found = state.components.get("scheduler") if state else None
        if found is None:
            return []
        running = []
        with contextlib.suppress(psutil.Error):
            for worker in psutil.Process(found.pid).children():
                with contextlib.suppress(psutil.Error):
                    title = " ".join(worker.cmdline())
                    tasks = worker.children()
                    if title.startswith(_WORKER) and "<idle>" not in title and tasks:
                        name = self._name(title.removeprefix(_WORKER).strip())
                        running.append(Running(name, worker, tasks[0]))
        return running

    def _name(self, instance: str) -> str:
        with self._database() as database:
            row = database.execute(
                "SELECT dag_id, task_id FROM task_instance WHERE id IN (?, ?)",
                (instance, instance.replace("-", "")),
            ).fetchone()
        return " ".join(row) if row else instance

    @contextlib.contextmanager
    def _database(self) -> Any:
        path = self._home / "airflow" / "airflow.db"
        with contextlib.closing(sqlite3.connect(path, timeout=20)) as database, database:
            yield database
