"""The processes of the embedded stack: what each is started with."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from include.evergreen.cli.stack.ports import HOST

_AIRFLOW = str(Path(sys.executable).with_name("airflow"))

#: The part that needs no Airflow database, and so starts while that is made.
MLFLOW = "mlflow"
API_SERVER = "api-server"
#: The first of the parts whose children are the running tasks.
SCHEDULER = "scheduler"


@dataclass(frozen=True)
class Order:
    """One process to keep running."""

    name: str
    argv: tuple[str, ...]
    runs_tasks: bool = False


def orders(home: Path, mlflow_port: int, schedulers: int = 1) -> list[Order]:
    """MLflow first (unless it is elsewhere: port 0), then what Airflow consists of.

    The logs are read from the disk, so nobody needs to serve them on ports of their own.
    """
    airflow = [
        Order(API_SERVER, (_AIRFLOW, "api-server")),
        *(_scheduler(number) for number in range(1, schedulers + 1)),
        Order("dag-processor", (_AIRFLOW, "dag-processor")),
        Order("triggerer", (_AIRFLOW, "triggerer", "--skip-serve-logs")),
    ]
    return [*([_mlflow(home, mlflow_port)] if mlflow_port else []), *airflow]


def migration() -> Order:
    """Makes or upgrades Airflow's database, and `airflow.cfg` with its secrets (mode 600)."""
    return Order("db-migrate", (_AIRFLOW, "db", "migrate"))


def _scheduler(number: int) -> Order:
    name = SCHEDULER if number == 1 else f"{SCHEDULER}-{number}"
    return Order(name, (_AIRFLOW, "scheduler", "--skip-serve-logs"), runs_tasks=True)


def _mlflow(home: Path, port: int) -> Order:
    folder = home / "mlflow"
    hosts = ",".join(f"{name}:{port}" for name in (HOST, "localhost"))
    argv = (
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")),
        *("--allowed-hosts", hosts),
    )
    return Order(MLFLOW, argv)
