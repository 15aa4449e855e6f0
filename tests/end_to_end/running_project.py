"""The servers around a team's project: a remote MLflow with a login, a webhook, their Airflow."""

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from include.evergreen.cli.stack import ports, processes
from tests.end_to_end.existing_project import plain_environment
from tests.end_to_end.waiting import wait_for

HOST = "127.0.0.1"
START_S = 240


@contextmanager
def started(
    command: list[str], folder: Path, environment: dict[str, str], log: Path
) -> Iterator[None]:
    """A program in a session of its own; all of that session is ended afterwards."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    since = time.time()
    try:
        yield
    finally:
        processes.end_session(process.pid, since, grace_s=10)
        process.wait(10)


@contextmanager
def remote_mlflow(folder: Path, admin: str, user: tuple[str, str]) -> Iterator[str]:
    """MLflow's own server behind its own login, with one ordinary user; yields its port."""
    folder.mkdir()
    port, lock = ports.reserve(18500)
    environment = {
        **plain_environment(folder),
        "MLFLOW_AUTH_ADMIN_PASSWORD": admin,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of-a-test",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--serve-artifacts"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    command += ["--allowed-hosts", f"{HOST}:{port}"]
    url = f"http://{HOST}:{port}"
    with lock, started(command, folder, environment, folder / "server.log"):
        wait_for("MLflow to answer", lambda: _status(f"{url}/health") == 200, START_S)
        made = requests.post(
            f"{url}/api/2.0/mlflow/users/create",
            json={"username": user[0], "password": user[1]},
            auth=("admin", admin),
            timeout=30,
        )
        assert made.ok, made.text
        yield str(port)


@contextmanager
def their_airflow(project: Path, environment: dict[str, str]) -> Iterator[str]:
    """`airflow standalone` as the team starts it; yields the password of its user admin."""
    command = [str(Path(sys.executable).with_name("airflow")), "standalone"]
    log = project / "logs" / "standalone.log"
    log.parent.mkdir(exist_ok=True)
    login = project / "simple_auth_manager_passwords.json.generated"
    health = f"{environment['AIRFLOW__API__BASE_URL']}/api/v2/monitor/health"

    def is_up() -> bool:
        parts = _json(health)
        wanted = ("scheduler", "triggerer", "dag_processor")
        return all((parts.get(part) or {}).get("status") == "healthy" for part in wanted)

    with started(command, project, environment, log):
        try:
            wait_for("their Airflow to be healthy", is_up, START_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()[-5000:]}") from error
        yield json.loads(login.read_text())["admin"]


@contextmanager
def webhook() -> Iterator[tuple[str, list[str]]]:
    """A server that keeps what it is told: its address, with a secret in it, and the texts."""
    said: list[str] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            said.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer((HOST, 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}/hooks/T0-secret-of-the-webhook", said
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def airflow_environment(project: Path) -> Iterator[dict[str, str]]:
    """The team's shell, with ports that nobody else has."""
    reserved = [ports.reserve(usual) for usual in (18600, 18800, 18900)]
    api, workers, triggers = (port for port, _ in reserved)
    url = f"http://{HOST}:{api}"
    try:
        yield plain_environment(
            project,
            AIRFLOW__API__HOST=HOST,
            AIRFLOW__API__PORT=str(api),
            AIRFLOW__API__BASE_URL=url,
            AIRFLOW__API__WORKERS="1",
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{url}/execution/",
            AIRFLOW__CORE__PARALLELISM="4",
            AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(workers),
            AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(triggers),
            AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.1",
        )
    finally:
        for _, lock in reserved:
            lock.close()


def _status(url: str) -> int:
    try:
        return requests.get(url, timeout=10).status_code
    except requests.RequestException:
        return 0


def _json(url: str) -> dict[str, dict[str, str]]:
    try:
        answer = requests.get(url, timeout=10)
        return answer.json() if answer.ok else {}
    except requests.RequestException:
        return {}


def files_with(secret: str, folder: Path) -> list[str]:
    """The files below a folder that hold a text, as it is."""
    wanted = secret.encode()
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK)
        if wanted in path.read_bytes()
    ]
