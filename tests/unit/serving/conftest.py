"""The serving app beside the tests: its modules importable, and running services of two models.

The regression is an ONNX graph, the multiclass model scikit-learn's own.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import PROJECT_ROOT
from tests.unit.model_code.bundles import Made, make_rides_graph, make_weather

SERVING = PROJECT_ROOT / "docker" / "serving"
START_S = 120

# The app's modules find each other by their own folder, in a container as here.
sys.path.insert(0, str(SERVING))


@dataclass
class Running:
    """A service in a process of its own."""

    made: Made
    port: int
    process: subprocess.Popen[bytes]
    spool: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, document: Any, **headers: str) -> requests.Response:
        return requests.post(f"{self.url}/invocations", json=document, headers=headers, timeout=30)

    def send(self, body: bytes, content_type: str = "application/json") -> requests.Response:
        headers = {"Content-Type": content_type} if content_type else {}
        return requests.post(f"{self.url}/invocations", data=body, headers=headers, timeout=30)


@pytest.fixture(scope="session")
def rides(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_rides_graph(tmp_path_factory.mktemp("rides") / "bundle")


@pytest.fixture(scope="session")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_weather(tmp_path_factory.mktemp("weather") / "bundle")


@contextlib.contextmanager
def started(made: Made, folder: Path, port: int, **env: str) -> Iterator[Running]:
    """A service of a bundle, answering; killed at the end if it still runs."""
    spool, log = folder / "spool", folder / "log"
    spool.mkdir()
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environ |= {
        "EVERGREEN_BUNDLE": str(made.directory),
        "EVERGREEN_MANIFEST_DIGEST": made.digest,
        "EVERGREEN_MODEL": made.spec.model,
        "EVERGREEN_VERSION": "7",
        "EVERGREEN_SPOOL": str(spool),
        **env,
    }
    command = [sys.executable, str(SERVING / "app.py"), "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd="/", env=environ, stdout=file, stderr=file)
    running = Running(made, port, process, spool, log)
    try:
        _wait(running)
        yield running
    finally:
        process.kill()
        process.wait()


def _wait(running: Running) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        assert running.process.poll() is None, running.log.read_text()
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{running.url}/ping", timeout=5).ok:
                return
        time.sleep(0.1)
    raise AssertionError(f"no answer after {START_S} s: {running.log.read_text()}")


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    import socket

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find


@pytest.fixture(scope="session")
def service(rides, tmp_path_factory, free_port) -> Iterator[Running]:
    """The regression with small limits, shared by all tests that leave it alive."""
    limits = {
        "EVERGREEN_MAX_ROWS": "100",
        "EVERGREEN_MAX_BODY_BYTES": "65536",
        "EVERGREEN_BODY_TIMEOUT_S": "1.5",
        "EVERGREEN_SPOOL_SECONDS": "0.5",
    }
    with started(rides, tmp_path_factory.mktemp("service"), free_port(), **limits) as running:
        yield running


@pytest.fixture(scope="session")
def weather_service(weather, tmp_path_factory, free_port) -> Iterator[Running]:
    with started(weather, tmp_path_factory.mktemp("weather-service"), free_port()) as running:
        yield running
