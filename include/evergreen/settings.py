"""Where this installation keeps things: one frozen object, read once, handed to the stages.

Every value has an environment variable (`EVERGREEN_…`), and its default lies under one home
folder, so that deleting the folder is a clean start. What carries a login (the ledger, MLflow,
S3, the container engine, the webhook for alerts, the token that clients show) may instead be an
Airflow connection of the name given in `CONNECTIONS`, and some that carry none may stand in the
Airflow variable `evergreen_settings`; inside a task `airflow_lookup.load_settings` merges the
three. Nothing here is read while a DAG file is parsed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from include.evergreen.errors import SettingsError

PROJECT_ROOT = Path(__file__).resolve().parents[2]

#: Setting -> the Airflow connection that may carry it.
CONNECTIONS = {
    "ledger_url": "evergreen_ledger",
    "mlflow_uri": "evergreen_mlflow",
    "s3": "evergreen_s3",
    "docker_url": "evergreen_docker",
    "alert_webhook": "evergreen_alerts",
    "serving_token": "evergreen_serving",
}


#: Setting -> the environment variables that win over its Airflow connection.
ENVIRONMENT = {
    "ledger_url": ("EVERGREEN_LEDGER_URL",),
    "mlflow_uri": ("EVERGREEN_MLFLOW_URI", "MLFLOW_TRACKING_URI"),
    "s3": ("EVERGREEN_S3_ENDPOINT_URL", "EVERGREEN_S3_ACCESS_KEY"),
    "docker_url": ("EVERGREEN_DOCKER_URL", "DOCKER_HOST"),
    "alert_webhook": ("EVERGREEN_ALERT_WEBHOOK",),
    "serving_token": ("EVERGREEN_SERVING_TOKEN",),
}


#: The Airflow variable, a JSON object, and the settings it may name with what wins over each.
VARIABLE = "evergreen_settings"
VARIABLE_FIELDS = {
    "lake_uri": "EVERGREEN_LAKE_URI",
    "base_image": "EVERGREEN_BASE_IMAGE",
    "gateway_image": "EVERGREEN_GATEWAY_IMAGE",
    "mlflow_public_url": "EVERGREEN_MLFLOW_PUBLIC_URL",
}


#: How long `maintain` keeps what nothing needs: long enough to ask about last month's training.
RETENTION_DAYS = 30.0
MAX_RETENTION_DAYS = 3650


_HTTP = ("http", "https")


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
    base_image: str = ""
    gateway_image: str = ""
    alert_webhook: str = field(default="", repr=False)
    serving_token: str = field(default="", repr=False)
    tls_certificate: str = ""
    s3: Mapping[str, str] = field(default_factory=dict, repr=False)
    data_roots: tuple[Path, ...] = ()

    @property
    def installation_id(self) -> str:
        """Eight hex digits that keep apart installations which share an engine or an MLflow."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:8]

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


def load(
    environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Settings from `EVERGREEN_*` variables, each with its default under the home folder.

    `overrides` replaces single fields by name: what came from Airflow connections.
    """
    env = os.environ if environ is None else environ
    home = Path(env.get("EVERGREEN_HOME") or PROJECT_ROOT / ".evergreen").resolve()
    roots = [
        home,
        *(Path(p).resolve() for p in env.get("EVERGREEN_DATA_ROOTS", "").split(":") if p),
    ]
    s3_keys = ("endpoint_url", "access_key", "secret_key", "region", "session_token")
    found = Settings(
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
        base_image=env.get("EVERGREEN_BASE_IMAGE", ""),
        gateway_image=env.get("EVERGREEN_GATEWAY_IMAGE", ""),
        alert_webhook=env.get("EVERGREEN_ALERT_WEBHOOK", ""),
        serving_token=env.get("EVERGREEN_SERVING_TOKEN", ""),
        tls_certificate=env.get("EVERGREEN_TLS_CERTIFICATE", ""),
        s3={k: v for k in s3_keys if (v := env.get(f"EVERGREEN_S3_{k.upper()}", ""))},
        data_roots=tuple(roots),
    )
    return dataclasses.replace(found, **(overrides or {}))


def retention_days(environ: Mapping[str, str] | None = None) -> float:
    """How long `maintain` keeps what nothing needs, in days.

    Raises:
        SettingsError: `EVERGREEN_RETENTION_DAYS` is no such number. Only who asks hears of it.
    """
    env = os.environ if environ is None else environ
    value = env.get("EVERGREEN_RETENTION_DAYS") or RETENTION_DAYS
    try:
        days = float(value)
    except ValueError:
        days = 0.0
    if not 1 <= days <= MAX_RETENTION_DAYS:
        raise SettingsError(
            f"EVERGREEN_RETENTION_DAYS is {value!r}; a number of days from 1 to "
            f"{MAX_RETENTION_DAYS:,} is expected."
        )
    return days


class Connection(Protocol):
    """The part of an Airflow connection that is read here."""

    conn_type: str
    host: str | None
    login: str | None
    password: str | None
    port: int | None
    schema: str | None

    @property
    def extra_dejson(self) -> dict[str, Any]: ...


def from_connection(setting: str, connection: Connection) -> dict[str, Any]:
    """The fields of `Settings` that an Airflow connection carries; {} for one left blank."""
    extra = connection.extra_dejson
    if setting == "s3":
        keys = {
            "endpoint_url": extra.get("endpoint_url"),
            "region": extra.get("region_name"),
            "session_token": extra.get("aws_session_token"),
            "access_key": connection.login,
            "secret_key": connection.password,
        }
        known = {key: str(value) for key, value in keys.items() if value}
        return {"s3": known} if known else {}
    secret = connection.password  # whole: Airflow encrypts and masks it
    if setting == "serving_token" or (setting == "alert_webhook" and secret):
        return {setting: secret} if secret else {}
    if not connection.host and not connection.schema:
        return {}
    if setting == "mlflow_uri":
        return {
            "mlflow_uri": _http_address(connection),
            "mlflow_username": connection.login or "",
            "mlflow_password": connection.password or "",
        }
    if setting == "ledger_url":
        return {"ledger_url": _database_url(connection)}
    return {setting: _http_address(connection)}


def from_variable(document: object, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The fields of `Settings` that the Airflow variable carries, less those left blank.

    Raises:
        SettingsError: it is no JSON object, names something else, or a value is no text.
    """
    env = os.environ if environ is None else environ
    if not isinstance(document, dict):
        raise SettingsError(
            f"The Airflow variable {VARIABLE} holds a {type(document).__name__}; a JSON object is "
            'expected, such as {"lake_uri": "s3://bucket/lake"}.'
        )
    for name, value in document.items():
        if name not in VARIABLE_FIELDS or not isinstance(value, str):
            raise SettingsError(
                f"The Airflow variable {VARIABLE} has {name!r} ({type(value).__name__}); it may "
                f"hold texts named {', '.join(VARIABLE_FIELDS)}. What has a login is a connection."
            )
    return {n: v for n, v in document.items() if v and not env.get(VARIABLE_FIELDS[n])}


def _http_address(connection: Connection) -> str:
    """The address a connection means; written as a URI, its path is what Airflow calls a schema."""
    host, schema = connection.host or "", connection.schema or ""
    path = "" if schema in _HTTP else f"/{schema}" if schema else ""
    if "://" not in host:
        kinds = (schema, connection.conn_type)
        host = f"{next((kind for kind in kinds if kind in (*_HTTP, 'tcp')), 'http')}://{host}"
    if connection.port:
        parts = urlsplit(host)
        host = urlunsplit(parts._replace(netloc=f"{parts.netloc}:{connection.port}"))
    return f"{host}{path}"


def _database_url(connection: Connection) -> str:
    if connection.conn_type == "sqlite":
        return f"sqlite:///{connection.host or connection.schema}"
    login = quote(connection.login or "", safe="")
    secret = f":{quote(connection.password, safe='')}" if connection.password else ""
    at = f"{login}{secret}@" if login else ""
    port = f":{connection.port}" if connection.port else ""
    return f"postgresql+psycopg://{at}{connection.host}{port}/{connection.schema or ''}"
