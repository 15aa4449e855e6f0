"""A door is whole or nothing is released behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime import DoorSettings
from include.evergreen.errors import SettingsError
from include.evergreen.settings import Settings
from include.evergreen.spec.release import Door
from include.evergreen.stages.release.door import door_of

TOKEN = "0123456789abcdef"


def settings(**environ: str) -> Settings:
    return evergreen_settings.load(environ)


def test_no_door_is_asked_for_and_nothing_is_needed() -> None:
    assert door_of(Door(), settings()) == DoorSettings()
    assert door_of(Door(), settings()).open


def test_a_door_has_what_the_installation_has(tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    pem.write_text("certificate and key")
    has = settings(EVERGREEN_TLS_CERTIFICATE=str(pem), EVERGREEN_SERVING_TOKEN=TOKEN)
    door = door_of(Door(tls=True, token=True), has)
    assert door == DoorSettings("certificate and key", TOKEN)
    assert not door.open
    assert TOKEN not in repr(door)
    assert "key" not in repr(door)
    assert door_of(Door(token=True), has) == DoorSettings(token=TOKEN)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "EVERGREEN_TLS_CERTIFICATE names no file"),
        ({"EVERGREEN_TLS_CERTIFICATE": "/nowhere.pem"}, "=/nowhere.pem cannot be read as PEM text"),
    ],
)
def test_tls_without_a_certificate_is_an_error(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        door_of(Door(tls=True), settings(**environ))


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("", "evergreen_serving .* is empty"),
        (TOKEN[:-1], "has 15 characters; at least 16"),
        ("two words of a token", "without blanks are required"),
        ("schlüssel-zum-modell", "plain ASCII"),
    ],
)
def test_a_token_that_is_none_is_an_error_that_does_not_show_it(token: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        door_of(Door(token=True), settings(EVERGREEN_SERVING_TOKEN=token))
    assert not token or token not in str(refused.value)
