"""Settings as a task finds them: environment first, then Airflow's own, then defaults.

Airflow's own are the connections of `settings.CONNECTIONS` and the variable `evergreen_settings`.
A lookup that fails (an API server that is away for a moment) looks to a task like a connection
that was never defined, and a default in its place would be another ledger or another lake. So the
names of those that were found are kept in the home, and one that is missing later is an error
that a retry can help, not a default.
"""

from __future__ import annotations

import json
import os
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook, Variable
from airflow.sdk.exceptions import AirflowNotFoundException

from include.evergreen import settings
from include.evergreen.errors import Unavailable

#: In the home: the names of what was found in Airflow.
FOUND = "found_in_airflow.json"


def load_settings() -> settings.Settings:
    """Settings of this installation: environment first, then Airflow's own, then defaults.

    Raises:
        SettingsError: the variable holds what it may not.
        Unavailable: what this home was once told by Airflow is not to be had.
    """
    values: dict[str, Any] = {}
    missing: set[str] = set()
    written = Variable.get(settings.VARIABLE, default=None)
    if written is None:
        missing.add(settings.VARIABLE)
    else:
        values.update(settings.from_variable(_json(written)))
    found = {settings.VARIABLE} if values else set()
    for setting, name in settings.CONNECTIONS.items():
        own = _from_connection(setting)
        if own is None:
            missing.add(name)
        elif own:
            found.add(name)
            values.update(own)
    loaded = settings.load(overrides=values)
    _compare(loaded.home / FOUND, found, missing)
    return loaded


def alert_webhook() -> str:
    """Where alerts go; '' for nowhere. Nothing else is read: a typo there must not silence them."""
    (variable,) = settings.ENVIRONMENT["alert_webhook"]
    own = (_from_connection("alert_webhook") or {}).get("alert_webhook", "")
    return os.environ.get(variable) or str(own)


def _from_connection(setting: str) -> dict[str, Any] | None:
    """What its Airflow connection says of a setting; {} for one left blank, or where a variable of
    the environment wins; None where there is no such connection.
    """
    if any(os.environ.get(name) for name in settings.ENVIRONMENT[setting]):
        return {}
    try:
        connection = BaseHook.get_connection(settings.CONNECTIONS[setting])
    except AirflowNotFoundException:
        return None
    return settings.from_connection(setting, connection)


def _compare(file: Path, found: AbstractSet[str], missing: AbstractSet[str]) -> None:
    """Keep the names of what was found; refuse to go on without what was found before."""
    known = _known(file)
    gone = known & missing
    if gone:
        names = ", ".join(sorted(gone))
        raise Unavailable(
            f"Airflow does not give {names}, which this installation was set up by. It may be away "
            f"for a moment; a default in its place would be another installation. If it was "
            f"removed on purpose, delete {file}."
        )
    if found - known:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        partial.write_text(json.dumps(sorted(known | found)))
        partial.replace(file)


def _known(file: Path) -> set[str]:
    try:
        return set(json.loads(file.read_text()))
    except FileNotFoundError:
        return set()


def _json(text: object) -> object:
    """What a variable holds; text that is no JSON stays text."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text
