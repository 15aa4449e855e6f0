"""What a client, and the machine, see of the model that a home serves."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import psutil
import requests


class TaskDied(RuntimeError):
    """Something failed where nothing was to make it fail."""


class Served:
    """The part of a world that serves."""

    home: Path

    def services(self) -> list[psutil.Process]:
        """Processes that serve a model of this home."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.home / "services") in " ".join(process.cmdline()):
                    found.append(process)
        return found

    def live(self) -> dict[str, Any] | None:
        """The service that the ledger says is live, and its version: in production, where clients
        ask; in staging before anything was released.
        """
        found = self.all_live()
        return found[0] if found else None

    def all_live(self) -> list[dict[str, Any]]:
        """What is live in each environment, production first, and which that is."""
        ledger = self.home / "ledger.db"
        if not ledger.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            try:
                rows = database.execute(
                    "SELECT version, environment, service FROM evergreen_deployments "
                    "WHERE state = 'live' ORDER BY environment"
                ).fetchall()
            except sqlite3.OperationalError:
                return []
        return [
            {"version": version, "environment": environment, **json.loads(service)}
            for version, environment, service in rows
        ]

    def answers(self, live: dict[str, Any]) -> bool:
        with contextlib.suppress(requests.RequestException):
            return requests.get(f"{live['endpoint']}/health", timeout=5).status_code == 200
        return False

    def wait_for_answer(self, timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            live = self.all_live()
            if live and all(map(self.answers, live)):
                return
            time.sleep(0.05)
        raise TaskDied(f"Nothing answers after {timeout_s} s.")

    def ask(self, rows: list[dict[str, Any]], *, probe: bool) -> str:
        """The version that answers these rows; what a client sends counts as traffic."""
        live = self.live()
        answer = requests.post(
            f"{live['endpoint']}/invocations",
            json={"dataframe_records": rows},
            headers={"X-Evergreen-Probe": "1"} if probe else {},
            timeout=20,
        )
        answer.raise_for_status()
        return answer.headers["X-Model-Version"]

    def wait_for_segments(self, timeout_s: float = 40) -> None:
        """Wait until the service has closed the segment of what it served."""
        deadline = time.monotonic() + timeout_s
        while not list((self.home / "spool").rglob("[!.]*.parquet")):
            if time.monotonic() > deadline:
                raise TaskDied("No segment of served requests was closed.")
            time.sleep(0.1)

    def spoil_spool(self) -> None:
        """A segment that is there twice, and one that is none."""
        segment = next((self.home / "spool").rglob("[!.]*.parquet"))
        shutil.copy(segment, segment.with_name("again.parquet"))
        segment.with_name("garbage.parquet").write_bytes(b"no table")


def end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        process.kill()
        process.wait(10)
