"""A client of the container engine, or `Unavailable` with the reason within seconds.

The client comes from Airflow's `DockerHook`, the one module of Airflow that an adapter touches: it
is the same client in a task, in a test and on the command line. The hook's own connection holds
the login of an image registry, which nothing here needs (no image is pulled at deploy time), so it
is given none; the engine's address comes from `Settings.docker_url`, which inside a task is what
the Airflow connection `evergreen_docker` says.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests.exceptions
from docker.errors import APIError, DockerException

from include.evergreen.errors import EvergreenError, SettingsError, Unavailable
from include.evergreen.settings import Settings

LOCAL_SOCKET = "unix:///var/run/docker.sock"
CONNECT_TIMEOUT_S = 2.0  # nobody listening answers at once; this bounds a host that drops packets
PING_TIMEOUT_S = 10  # a busy engine is slow to answer; it is not absent
CALL_TIMEOUT_S = 300  # a build that compiles an environment on a slow disk

_HERE = ("127.0.0.1", "localhost", "::1")


def connect(settings: Settings) -> Any:
    """A `docker.APIClient` of the engine on this machine.

    Raises:
        SettingsError: the engine is on another machine, where a port bound to 127.0.0.1 and a
            directory of this machine mean nothing.
        Unavailable: nothing answers at the address.
    """
    url = settings.docker_url or LOCAL_SOCKET
    _require_answer(url)
    from airflow.providers.docker.hooks.docker import DockerHook
    from airflow.sdk.exceptions import AirflowException

    try:
        client = DockerHook(
            docker_conn_id=None, base_url=url, tls=_tls(DockerHook), timeout=PING_TIMEOUT_S
        ).api_client
    except (AirflowException, DockerException) as error:
        raise Unavailable(
            f"The container engine at {url} accepts connections but does not answer within "
            f"{PING_TIMEOUT_S} s: {error}. Look at its log, or set deployment.runtime: process."
        ) from error
    client.timeout = CALL_TIMEOUT_S
    return client


def _require_answer(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "unix" and parts.hostname not in _HERE:
        raise SettingsError(
            f"The container engine at {url} is on another machine. Services are bound to "
            "127.0.0.1 and write to a local spool, so the engine must be local: unset "
            "EVERGREEN_DOCKER_URL and DOCKER_HOST (or the connection evergreen_docker)."
        )
    try:
        if parts.scheme == "unix":
            probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            with closing(probe):
                probe.settimeout(CONNECT_TIMEOUT_S)
                probe.connect(parts.path)
        else:
            address = (parts.hostname or "", parts.port or 2375)
            socket.create_connection(address, CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise Unavailable(
            f"No container engine answers at {url}: {error}. Start it, or set "
            "deployment.runtime: process (or auto, which falls back to it)."
        ) from error


def _tls(hook: Any) -> Any:
    """TLS as the docker command takes it: DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."""
    folder = os.environ.get("DOCKER_CERT_PATH", "")
    if not os.environ.get("DOCKER_TLS_VERIFY") or not folder:
        return None
    return hook.construct_tls_config(
        ca_cert=f"{folder}/ca.pem", client_cert=f"{folder}/cert.pem", client_key=f"{folder}/key.pem"
    )


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """What the engine's client raises, as ours: a refusal does not retry, a lost engine does."""
    try:
        yield
    except APIError as error:
        why = error.explanation or str(error)
        if error.is_server_error():
            raise Unavailable(f"The container engine could not {what}: {why}.") from error
        raise EngineRefused(f"The container engine refused to {what}: {why}.") from error
    except (DockerException, requests.exceptions.RequestException) as error:
        raise Unavailable(
            f"The container engine went away while it was to {what}: {error}. It is tried again."
        ) from error


class EngineRefused(EvergreenError):
    """The engine understood the request and said no; the same request gets the same answer."""


def unless_gone(call: Callable[[], Any]) -> bool:
    """Make the call; False if the thing it is about is not there (any more)."""
    try:
        call()
    except APIError as error:
        if error.status_code == requests.codes.not_found:
            return False
        raise
    return True
