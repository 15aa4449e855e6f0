"""What is known of a stack: `stack.json`, written by its supervisor, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.evergreen.cli.stack import locks, processes
from include.evergreen.settings import Settings

STATE_FILE = "stack.json"
SUPERVISOR_LOCK = "supervisor.lock"
USER = "admin"


@dataclass(frozen=True)
class Component:
    """One supervised process; `restarts` counts how often it had to be started again."""

    pid: int
    started_at: float
    restarts: int = 0


@dataclass(frozen=True)
class StackState:
    """The stack of one home. `session` is the supervisor's pid; `failure` why it gave up.

    `schedulers` is how many there are to be, `database` the digest of Airflow's own.
    """

    session: int
    started_at: float
    boot_id: str
    airflow_url: str
    mlflow_url: str
    components: dict[str, Component] = field(default_factory=dict)
    failure: str = ""
    schedulers: int = 1
    database: str = ""

    def members(self) -> list[Any]:
        """Live processes of this stack; none if the machine was restarted since."""
        if self.boot_id != processes.boot_id():
            return []
        return processes.session_members(self.session, self.started_at)


def read_state(home: Path) -> StackState | None:
    """The newest state written, of a stack that may have stopped since; None if there is none."""
    path = home / STATE_FILE
    if not path.is_file():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    parts = {name: Component(**part) for name, part in document.pop("components").items()}
    return StackState(**document, components=parts)


def write_state(home: Path, state: StackState) -> None:
    partial = home / f".{STATE_FILE}.{os.getpid()}"
    partial.write_text(json.dumps(dataclasses.asdict(state), indent=1) + "\n", encoding="utf-8")
    partial.replace(home / STATE_FILE)


def is_supervised(home: Path) -> bool:
    """Whether a supervisor watches over this home now; the kernel knows, no pid can deceive."""
    return locks.is_held(home / SUPERVISOR_LOCK)


def password_file(home: Path) -> Path:
    return home / "airflow" / "simple_auth_manager_passwords.json.generated"


def read_password(home: Path) -> str:
    """The generated password of Airflow's user `admin`."""
    return str(json.loads(password_file(home).read_text(encoding="utf-8"))[USER])


def log_file(home: Path, component: str) -> Path:
    return home / "logs" / f"{component}.log"


def stack_settings(settings: Settings) -> Settings:
    """The settings as the tasks of the running stack see them: with its MLflow server."""
    state = read_state(settings.home)
    if state is None or not state.mlflow_url:
        return settings
    return dataclasses.replace(
        settings, mlflow_uri=state.mlflow_url, mlflow_public_url=state.mlflow_url
    )
