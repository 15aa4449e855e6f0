"""A Prometheus of the tests' own: on loopback, scraping at once, gone when its block ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.conftest import PROJECT_ROOT

EXAMPLE = PROJECT_ROOT / "docker" / "grafana" / "prometheus.yml"
START_S = 30


@dataclass(frozen=True)
class Prometheus:
    """One that runs; `ask` answers as its HTTP API does."""

    url: str

    def ask(self, path: str, **parameters: Any) -> Any:
        """The `data` of an answer.

        Raises:
            AssertionError: it refuses; the message has what was asked and what it said.
        """
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=30)
        document = answer.json()
        assert document["status"] == "success", f"{parameters}: {document.get('error')}"
        return document["data"]

    def healthy(self) -> int:
        """How many targets answered their last scrape."""
        return [t["health"] for t in self.ask("targets")["activeTargets"]].count("up")


def program() -> str:
    """The program to run. Without one the test is skipped, or fails where CI is to have it."""
    found = os.environ.get("EVERGREEN_PROMETHEUS") or shutil.which("prometheus")
    if found:
        return found
    why = "there is no prometheus on PATH, and EVERGREEN_PROMETHEUS names none"
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI tries the dashboard: {why}. Debian's package has it.")
    pytest.skip(why)


@contextlib.contextmanager
def scraping(ports: Sequence[int], folder: Path, port: int) -> Iterator[Prometheus]:
    """The shipped example's configuration, but for its targets and its interval."""
    config = yaml.safe_load(EXAMPLE.read_text())
    config["global"]["scrape_interval"] = "500ms"
    (job,) = config["scrape_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{each}" for each in ports]}]
    path, log = folder / "prometheus.yml", folder / "log"
    path.write_text(yaml.safe_dump(config))
    command = [
        program(),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file)
    running = Prometheus(f"http://127.0.0.1:{port}")
    try:
        deadline = time.monotonic() + START_S
        while not _scrapes(running, len(ports)):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield running
    finally:
        process.kill()
        process.wait()


def _scrapes(running: Prometheus, targets: int) -> bool:
    with contextlib.suppress(requests.RequestException):
        return running.healthy() == targets
    return False
