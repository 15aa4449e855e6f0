"""A real MLflow server whose database may be replaced: no connection outlives a request."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import requests

START_TIMEOUT_S = 180


class MlflowServer:
    """MLflow on SQLite under `folder`, as `make up` starts it; up when the constructor returns."""

    def __init__(self, folder: Path, log: Path, also_at: int | None = None) -> None:
        """`also_at` is the port of a proxy, under which clients know it too."""
        folder.mkdir(parents=True)
        port = free_port()
        hosts = ",".join(f"127.0.0.1:{known}" for known in (port, also_at) if known)
        self.url = f"http://127.0.0.1:{port}"
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "mlflow", "server"),
                    *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                    *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
                    *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
                    *("--allowed-hosts", hosts),
                ],
                env={
                    **os.environ,
                    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
                    "MLFLOW_DISABLE_TELEMETRY": "true",
                    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                },
                cwd=log.parent,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self.url}/health", timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise RuntimeError(f"MLflow did not answer within {START_TIMEOUT_S} s.")

    def close(self) -> None:
        os.killpg(self._process.pid, 15)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
