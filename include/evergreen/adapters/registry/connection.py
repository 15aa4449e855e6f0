"""A connection to MLflow that answers within a known time, and whose login stays its own.

MLflow reads address, login and time limits from the environment alone. They are put there for
the length of one call and taken away again, so that nothing started in between inherits them.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit, urlunsplit

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
import requests
import urllib3
from mlflow.exceptions import MlflowException, RestException

from include.evergreen.effects import read
from include.evergreen.errors import SettingsError, Unavailable
from include.evergreen.settings import Settings

#: MLflow's own defaults (120 s, 7 retries) let a task hang for a quarter of an hour.
_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_AWAY = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError, ConnectionError)
_AWAY_CODES = frozenset({"TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "ABORTED"})
_NO_ENTRY_CODES = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"})
_SERVER_ERROR = 500
_TOO_MANY = 429
_NO_ENTRY = (401, 403)

P = ParamSpec("P")
R = TypeVar("R")
_environment = threading.RLock()


class Connection:
    """Where MLflow is, and as whom we speak to it."""

    def __init__(self, settings: Settings) -> None:
        self.uri = settings.mlflow_uri
        self._variables = {
            "MLFLOW_TRACKING_URI": settings.mlflow_uri,
            "MLFLOW_REGISTRY_URI": settings.mlflow_uri,
            **_LIMITS,
        }
        if settings.mlflow_username:
            self._variables["MLFLOW_TRACKING_USERNAME"] = settings.mlflow_username
            self._variables["MLFLOW_TRACKING_PASSWORD"] = settings.mlflow_password

    @property
    def address(self) -> str:
        """The address without a login, for messages and logs."""
        return without_login(self.uri)

    @functools.cached_property
    def client(self) -> mlflow.MlflowClient:
        """Use it inside a `calling` block only."""
        return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @read
    @contextmanager
    def calling(self) -> Iterator[mlflow.MlflowClient]:
        """MLflow's client, with address and login in place; its errors become ours.

        Raises:
            Unavailable: MLflow does not answer, or is overloaded.
            SettingsError: it does not let us in.
        """
        with _environment, _pointed_at(self.uri, self._variables):
            try:
                yield self.client
            except (MlflowException, *_AWAY) as error:
                translated = self._translated(error)
                if translated is None:
                    raise
                raise translated from error

    def _translated(self, error: Exception) -> Exception | None:
        code = getattr(error, "error_code", "")
        status = _status(error)
        if code in _NO_ENTRY_CODES or status in _NO_ENTRY:
            return SettingsError(
                f"MLflow at {self.address} refuses the login ({status or code}). Set user and "
                "password in the connection evergreen_mlflow, or in MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD."
            )
        away = (
            code in _AWAY_CODES
            or (status is not None and (status >= _SERVER_ERROR or status == _TOO_MANY))
            or any(isinstance(cause, _AWAY) for cause in _causes(error))
        )
        if not away:
            return None
        return Unavailable(
            f"MLflow at {self.address} does not answer: {type(error).__name__} {code}. See that "
            "the server runs and can be reached from here, then clear the task."
        )


def calls_mlflow(method: Callable[P, R]) -> Callable[P, R]:
    """A method that runs inside its `_connection.calling()`."""

    @functools.wraps(method)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        connection: Connection = args[0]._connection  # type: ignore[attr-defined]  # noqa: SLF001
        with connection.calling():
            return method(*args, **kwargs)

    return inside


def without_login(uri: str) -> str:
    """The address without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@contextmanager
def _pointed_at(uri: str, variables: dict[str, str]) -> Iterator[None]:
    """What MLflow resolves without a client goes to `uri`, whatever another caller has set."""
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    with _set(variables):
        mlflow.set_tracking_uri(uri)
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)


@contextmanager
def _set(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(error, RestException):
        return int(error.get_http_status_code())
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
