"""Start, stop and look at the stack of one home. Each command may be repeated at any time."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from include.evergreen.cli import airflow_settings
from include.evergreen.cli.airflow_api import AirflowApi
from include.evergreen.cli.stack import health, locks, processes, services
from include.evergreen.cli.stack.metadata import metadata
from include.evergreen.cli.stack.state import (
    STATE_FILE,
    USER,
    StackState,
    is_supervised,
    log_file,
    password_file,
    read_password,
    read_state,
    stack_settings,
)
from include.evergreen.errors import SettingsError, Unavailable
from include.evergreen.settings import PROJECT_ROOT, Settings

Say = Callable[[str], None]

START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0


def up(settings: Settings, say: Say) -> StackState:
    """The running stack: what is dead is started, what runs is left alone.

    Raises:
        SettingsError: Airflow's database, or the number of schedulers, is none that can be.
        Unavailable: a part does not come up; the message ends with the last lines of its log.
    """
    home = settings.home
    metadata(home, os.environ)  # refused here, before anything is started
    home.mkdir(parents=True, exist_ok=True)
    with locks.held(home / "stack.lock", START_TIMEOUT_S, "This command"):
        missing = health.problem(home)
        if missing:
            say(f"Starting Airflow and MLflow under {_short(home)} …")
            if not is_supervised(home):
                _end_remains(home)
                _make_login(home)
                _start_supervisor(home)
            health.wait_until_up(home, START_TIMEOUT_S)
        _load_settings_once(home)
        services.revive(stack_settings(settings), say)
    state = _state(home)
    say(_addresses(home, state, "are up" if missing else "were up already"))
    return state


def down(settings: Settings, say: Say) -> None:
    """Nothing of this home runs any more, served models included. All data stays."""
    home = settings.home
    if not home.exists():
        say(f"Nothing runs: there is no {_short(home)}.")
        return
    with locks.held(home / "stack.lock", START_TIMEOUT_S, "This command"):
        if is_supervised(home):
            _stop_supervisor(home)
        _end_remains(home)
        stopped = services.stop_all(settings)
    models = f", and {_counted(stopped)}" if stopped else ""
    say(f"Airflow and MLflow are stopped{models}. All data stays under {_short(home)}.")


def status(settings: Settings, say: Say) -> bool:
    """Whether all of it is up; says what runs, and where."""
    home = settings.home
    if not is_supervised(home):
        say(f"Nothing runs under {_short(home)}. `make up` starts it.")
        return False
    missing = health.problem(home)
    say(_addresses(home, _state(home), f"are not up: {missing}" if missing else "are up"))
    return not missing


def clean(settings: Settings, say: Say) -> None:
    """`down`, then the home folder is gone, with the containers and images it had.

    Raises:
        SettingsError: the folder does not look like a home of Evergreen; nothing was deleted.
    """
    home = settings.home
    if not home.exists():
        say(f"There is no {_short(home)}.")
        return
    ours = home.name == ".evergreen" or (home / STATE_FILE).is_file()
    if not ours or PROJECT_ROOT.is_relative_to(home) or Path.home().is_relative_to(home):
        raise SettingsError(
            f"{home} is not a home that `make up` made, so it is not deleted. Check EVERGREEN_HOME."
        )
    down(settings, say)
    removed = services.remove_all(settings)
    shutil.rmtree(home)
    say(f"Deleted {_short(home)}" + (f" and {_counted(removed)}." if removed else "."))


def open_api(home: Path) -> AirflowApi:
    """A client of the running stack's Airflow, as its one user."""
    return AirflowApi(_state(home).airflow_url, USER, read_password(home))


def _start_supervisor(home: Path) -> None:
    (home / "mlflow").mkdir(exist_ok=True)
    log = log_file(home, "supervisor")
    log.parent.mkdir(exist_ok=True)
    (home / STATE_FILE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "include.evergreen.cli.stack", "supervise"]
    with log.open("ab") as output:
        subprocess.run(
            command,
            cwd=PROJECT_ROOT,
            env=os.environ | {"EVERGREEN_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
            timeout=60,
        )


def _stop_supervisor(home: Path) -> None:
    state = _state(home)
    os.kill(state.session, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while is_supervised(home):
        if time.monotonic() > deadline:
            os.kill(state.session, signal.SIGKILL)
        time.sleep(0.1)


def _end_remains(home: Path) -> None:
    """End what a supervisor that was killed left running."""
    state = read_state(home)
    if state is not None and state.boot_id == processes.boot_id():
        processes.end_session(state.session, state.started_at, grace_s=0)


def _make_login(home: Path) -> None:
    """A password for Airflow's user `admin`, generated once, readable to us alone."""
    path = password_file(home)
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({USER: secrets.token_urlsafe(12)}, file)


def _load_settings_once(home: Path) -> None:
    """Load airflow_settings.yaml when it, or Airflow's database, is new.

    What was changed in the UI since then stays.
    """
    path = airflow_settings.SETTINGS_FILE
    wanted = airflow_settings.read_settings(path)
    digest = f"{hashlib.sha256(path.read_bytes()).hexdigest()} {_state(home).database}".strip()
    stamp = home / "airflow" / ".settings_loaded"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return
    api = open_api(home)
    try:
        airflow_settings.load_into(api, wanted)
    finally:
        api.close()
    stamp.write_text(digest, encoding="utf-8")


def _state(home: Path) -> StackState:
    state = read_state(home)
    if state is None:
        raise Unavailable(f"Nothing runs under {_short(home)}. `make up` starts it.")
    return state


def _addresses(home: Path, state: StackState, what: str) -> str:
    return (
        f"Airflow and MLflow {what}.\n"
        f"  Airflow  {state.airflow_url}   user {USER}, password {read_password(home)}\n"
        f"  MLflow   {state.mlflow_url}\n"
        f"  Data     {_short(home)}   `make down` stops all of it"
    )


def _counted(models: int) -> str:
    return "the service of 1 model" if models == 1 else f"the services of {models} models"


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
