"""Whether a stack answers, and if not, what is missing and what its log says."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests

from include.evergreen.cli.airflow_api import AirflowApi, AirflowRefused, PartHealth
from include.evergreen.cli.stack import ports
from include.evergreen.cli.stack.components import API_SERVER, MLFLOW, orders
from include.evergreen.cli.stack.state import StackState, is_supervised, log_file, read_state
from include.evergreen.errors import Unavailable

HOPELESS_RESTARTS = 4
#: Airflow's name of a part -> ours. Of several schedulers it tells the newest sign of life.
_MONITORED = {
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag_processor": "dag-processor",
}
_LOG_TAIL = 25


def problem(home: Path) -> str:
    """What is missing from a stack that answers in all its parts; '' when nothing is."""
    state = read_state(home)
    if state is None or not is_supervised(home):
        return "nothing watches over it"
    mlflow_port = 1 if MLFLOW in state.components else 0
    for order in orders(home, mlflow_port, state.schedulers):
        part = state.components.get(order.name)
        if part is None or not psutil.pid_exists(part.pid):
            return f"{order.name} does not run"
    for name, url in ((API_SERVER, state.airflow_url), (MLFLOW, state.mlflow_url)):
        # Whoever else may answer at the address is not asked.
        if name in state.components and not _is_ours(state.components[name].pid, url):
            return f"{name} does not listen yet"
    return _silent_part(state)


def _is_ours(pid: int, url: str) -> bool:
    return ports.listens(pid, urlsplit(url).port or 0)


def _silent_part(state: StackState) -> str:
    api = AirflowApi(state.airflow_url, "", "")
    try:
        if MLFLOW in state.components:
            _ask_mlflow(state.mlflow_url)
        seen = api.health()
        api.warm_up()
    except (Unavailable, AirflowRefused) as error:
        return str(error)
    finally:
        api.close()
    sick = [ours for theirs, ours in _MONITORED.items() if not _is_well(seen, theirs, state, ours)]
    return f"no sign of life from {', '.join(sick)}" if sick else ""


def _is_well(seen: dict[str, PartHealth], theirs: str, state: StackState, ours: str) -> bool:
    """Healthy by a heartbeat of the process that runs now, not of one that died."""
    health = seen.get(theirs)
    if health is None or health.status != "healthy" or health.heartbeat is None:
        return False
    return health.heartbeat.timestamp() > state.components[ours].started_at


def _ask_mlflow(url: str) -> None:
    with requests.Session() as http:
        http.trust_env = False
        try:
            http.get(f"{url}/health", timeout=5).raise_for_status()
        except requests.RequestException as error:
            raise Unavailable(f"MLflow does not answer at {url}") from error


def wait_until_up(home: Path, timeout_s: float) -> StackState:
    """The state of the stack once all of it answers.

    Raises:
        Unavailable: it does not come up; the message ends with the last lines of the log.
    """
    deadline = time.monotonic() + timeout_s
    missing = "nothing watches over it"
    while time.monotonic() < deadline:
        state = read_state(home)
        if state is not None and is_supervised(home):
            _require_hope(home, state)
            missing = problem(home)
            if not missing:
                return state
        elif state is not None and state.failure:
            raise Unavailable(state.failure)
        time.sleep(0.3)
    part = missing.split()[0] if missing.endswith("does not run") else "supervisor"
    raise Unavailable(f"Not up after {timeout_s:.0f} s: {missing}.\n{tail(home, part)}")


def _require_hope(home: Path, state: StackState) -> None:
    """Raise when a part has died so often that waiting is in vain."""
    for name, part in state.components.items():
        lived_s = time.time() - part.started_at
        if part.restarts >= HOPELESS_RESTARTS and lived_s < 5:  # noqa: PLR2004 - it has just died
            raise Unavailable(
                f"{name} ends as soon as it is started ({part.restarts} times).\n{tail(home, name)}"
            )


def tail(home: Path, component: str) -> str:
    """The last lines of a part's log, with where to read on."""
    path = log_file(home, component)
    if not path.is_file():
        return f"It wrote no log ({path})."
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_TAIL:]
    return "\n".join([f"The end of {path}:", *(f"  {line}" for line in lines)])
