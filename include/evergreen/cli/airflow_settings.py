"""Reads `airflow_settings.yaml` in the Astro CLI's schema, and loads it into a running Airflow.

The schema is the Astro CLI's own, closed here: a misspelt key is an error instead of a setting
that is silently left out. An entry that the Astro CLI would skip (a pool without slots, a
connection without a type) is an error too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.evergreen.cli.airflow_api import AirflowApi
from include.evergreen.errors import SettingsError
from include.evergreen.settings import PROJECT_ROOT

SETTINGS_FILE = PROJECT_ROOT / "airflow_settings.yaml"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Connection(_Entry):
    """Either a URI, or a type and its parts; blank fields are those not set."""

    conn_id: str = Field(pattern=r"^[\w.-]+$")
    conn_type: str | None = None
    conn_host: str | None = None
    conn_schema: str | None = None
    conn_login: str | None = None
    conn_password: str | None = None
    conn_port: int | None = None
    conn_uri: str | None = None
    conn_extra: dict[str, Any] | str | None = None

    @model_validator(mode="after")
    def _type_or_uri(self) -> Self:
        if not self.conn_type and not self.conn_uri:
            raise ValueError(f"connection {self.conn_id!r} needs a conn_type or a conn_uri")
        return self

    def as_api(self) -> dict[str, Any]:
        """The body of Airflow's REST API."""
        parts = _uri_parts(self.conn_uri) if self.conn_uri else {}
        extra = self.conn_extra
        own = {
            "conn_type": self.conn_type,
            "host": self.conn_host,
            "schema": self.conn_schema,
            "login": self.conn_login,
            "password": self.conn_password,
            "port": self.conn_port,
            "extra": json.dumps(extra) if isinstance(extra, dict) else extra,
        }
        given = {name: value for name, value in own.items() if value not in (None, "")}
        return {"connection_id": self.conn_id, **parts, **given}


class Pool(_Entry):
    pool_name: str = Field(min_length=1, max_length=256)
    pool_slot: int = Field(ge=-1)
    pool_description: str = ""

    def as_api(self) -> dict[str, Any]:
        return {
            "name": self.pool_name,
            "slots": self.pool_slot,
            "description": self.pool_description,
            "include_deferred": False,
        }


class Variable(_Entry):
    variable_name: str = Field(min_length=1, max_length=250)
    variable_value: str | int | float | bool | dict[str, Any] | list[Any]

    def as_api(self) -> dict[str, Any]:
        return {"key": self.variable_name, "value": self.variable_value}


class _Airflow(_Entry):
    connections: tuple[Connection, ...] = ()
    pools: tuple[Pool, ...] = ()
    variables: tuple[Variable, ...] = ()


class AirflowSettings(_Entry):
    """The whole file."""

    airflow: _Airflow


def read_settings(path: Path = SETTINGS_FILE) -> AirflowSettings:
    """The file, validated.

    Raises:
        SettingsError: it is no YAML, or not in the schema; the message names each place.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return AirflowSettings.model_validate(_without_blanks(document))
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)[:10]
        )
        raise SettingsError(f"{path} is not in the Astro CLI's schema: {places}.") from None


def load_into(api: AirflowApi, settings: AirflowSettings) -> None:
    """Put everything into a running Airflow; what is there under the same name is overwritten."""
    api.load("connections", [entry.as_api() for entry in settings.airflow.connections])
    api.load("pools", [entry.as_api() for entry in settings.airflow.pools])
    api.load("variables", [entry.as_api() for entry in settings.airflow.variables])


def _without_blanks(document: Any) -> Any:
    """`key:` with nothing behind it means not set, as the Astro CLI writes it in a new file."""
    if isinstance(document, dict):
        return {key: _without_blanks(value) for key, value in document.items() if value is not None}
    if isinstance(document, list):
        return [_without_blanks(value) for value in document]
    return document


def _uri_parts(uri: str) -> dict[str, Any]:
    """What Airflow reads out of a connection's URI."""
    split = urlsplit(uri)
    parts = {
        "conn_type": split.scheme.replace("-", "_"),
        "host": unquote(split.hostname or ""),
        "schema": unquote(split.path.lstrip("/")),
        "login": unquote(split.username or ""),
        "password": unquote(split.password or ""),
        "port": split.port,
        "extra": json.dumps(dict(parse_qsl(split.query))) if split.query else None,
    }
    return {name: value for name, value in parts.items() if value not in (None, "")}
