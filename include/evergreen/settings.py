"""Where this installation keeps things: one frozen object, read once, handed to the stages.

Every value has an environment variable (`EVERGREEN_…`), and its default lies under one home
folder, so that deleting the folder is a clean start. What carries a login (the ledger, MLflow,
S3, the container engine, the webhook for alerts) may instead be an Airflow connection of the
name given in `CONNECTIONS`; `dag_kit.load_settings` merges the two inside a task. Nothing here is
read while a DAG file is parsed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]

#: Setting -> the Airflow connection that may carry it.
CONNECTIONS = {
    "ledger_url": "evergreen_ledger",
    "mlflow_uri": "evergreen_mlflow",
    "s3": "evergreen_s3",
    "docker_url": "evergreen_docker",
    "alert_webhook": "evergreen_alerts",
}


@dataclass(frozen=True)
class Settings:
    """One installation. Paths are absolute; URLs may carry a login and are never logged whole."""

    home: Path
    models_dir: Path
    lake_uri: str
    ledger_url: str = field(repr=False)
    mlflow_uri: str = field(repr=False)
    mlflow_username: str = ""
    mlflow_password: str = field(default="", repr=False)
    mlflow_public_url: str = ""
    docker_url: str = ""
    alert_webhook: str = field(default="", repr=False)
    s3: Mapping[str, str] = field(default_factory=dict, repr=False)
    data_roots: tuple[Path, ...] = ()

    @property
    def studies_dir(self) -> Path:
        return self.home / "studies"

    @property
    def work_dir(self) -> Path:
        return self.home / "work"

    @property
    def spool_dir(self) -> Path:
        return self.home / "spool"

    @property
    def reports_dir(self) -> Path:
        return self.home / "reports"

    @property
    def services_dir(self) -> Path:
        return self.home / "services"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `EVERGREEN_*` variables, each with its default under the home folder."""
    env = os.environ if environ is None else environ
    home = Path(env.get("EVERGREEN_HOME") or PROJECT_ROOT / ".evergreen").resolve()
    roots = [
        home,
        *(Path(p).resolve() for p in env.get("EVERGREEN_DATA_ROOTS", "").split(":") if p),
    ]
    s3_keys = ("endpoint_url", "access_key", "secret_key", "region", "session_token")
    return Settings(
        home=home,
        models_dir=Path(env.get("EVERGREEN_MODELS_DIR") or PROJECT_ROOT / "include" / "models"),
        lake_uri=env.get("EVERGREEN_LAKE_URI") or str(home / "lake"),
        ledger_url=env.get("EVERGREEN_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}",
        mlflow_uri=env.get("EVERGREEN_MLFLOW_URI")
        or env.get("MLFLOW_TRACKING_URI")
        or f"sqlite:///{home / 'mlflow' / 'mlflow.db'}",
        mlflow_username=env.get("MLFLOW_TRACKING_USERNAME", ""),
        mlflow_password=env.get("MLFLOW_TRACKING_PASSWORD", ""),
        mlflow_public_url=env.get("EVERGREEN_MLFLOW_PUBLIC_URL", ""),
        docker_url=env.get("EVERGREEN_DOCKER_URL") or env.get("DOCKER_HOST", ""),
        alert_webhook=env.get("EVERGREEN_ALERT_WEBHOOK", ""),
        s3={k: v for k in s3_keys if (v := env.get(f"EVERGREEN_S3_{k.upper()}", ""))},
        data_roots=tuple(roots),
    )
