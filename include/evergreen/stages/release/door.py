"""What the spec's door is made of: the certificate and the token of this installation."""

from __future__ import annotations

from pathlib import Path

from include.evergreen.adapters.runtime import DoorSettings
from include.evergreen.effects import read
from include.evergreen.errors import SettingsError
from include.evergreen.settings import Settings
from include.evergreen.spec.release import Door

_LEAST_TOKEN = 16
_TOKEN_IS = "the password of the Airflow connection evergreen_serving (or EVERGREEN_SERVING_TOKEN)"  # noqa: S105 - a message


@read
def door_of(door: Door, settings: Settings) -> DoorSettings:
    """The door that the spec asks for, whole; an open one where it asks for none.

    Raises:
        SettingsError: what it needs is not there. Nothing is released behind half a door.
    """
    return DoorSettings(
        certificate=_certificate(settings) if door.tls else "",
        token=_token(settings) if door.token else "",
    )


def _certificate(settings: Settings) -> str:
    where = settings.tls_certificate
    if not where:
        raise SettingsError(
            "deployment.door.tls is on, and EVERGREEN_TLS_CERTIFICATE names no file. Set it to a "
            "PEM file with the certificate, those it rests on and its key."
        )
    try:
        return Path(where).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"EVERGREEN_TLS_CERTIFICATE={where} cannot be read as PEM text: {error}"
        ) from error


def _token(settings: Settings) -> str:
    token = settings.serving_token
    if not token:
        raise SettingsError(f"deployment.door.token is on, and {_TOKEN_IS} is empty.")
    if len(token) < _LEAST_TOKEN or not token.isascii() or len(token.split()) != 1:
        raise SettingsError(
            f"The token of the door, {_TOKEN_IS}, has {len(token)} characters; at least "
            f"{_LEAST_TOKEN} of plain ASCII without blanks are required, such as the output of "
            "`openssl rand -hex 32`."
        )
    return token
