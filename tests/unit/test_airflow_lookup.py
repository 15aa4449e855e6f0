"""What Airflow says of this installation, and what it says when it cannot be asked."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowNotFoundException

from include.evergreen import airflow_lookup, settings
from include.evergreen.airflow_lookup import FOUND, load_settings
from include.evergreen.errors import SettingsError, Unavailable, is_retryable

LEDGER = "postgresql+psycopg://evergreen@db/ledger"


def connection(**given):
    blank = dict.fromkeys(("host", "login", "password", "port", "schema"))
    return SimpleNamespace(**{**blank, "conn_type": "postgres", "extra_dejson": {}, **given})


class Airflow:
    """The variables and connections of an Airflow; what it does not have is 'not defined'."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.connections = {
            "evergreen_ledger": connection(host="db", login="evergreen", schema="ledger")
        }

    def variable(self, key: str, default: str | None) -> str | None:
        return self.variables.get(key, default)

    def connection(self, name: str):
        if name not in self.connections:
            raise AirflowNotFoundException(f"The conn_id `{name}` isn't defined")
        return self.connections[name]


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Airflow:
    made = Airflow()
    monkeypatch.setattr(airflow_lookup.Variable, "get", made.variable)
    monkeypatch.setattr(airflow_lookup.BaseHook, "get_connection", made.connection)
    for names in settings.ENVIRONMENT.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    return made


def test_airflow_has_the_word_before_a_default(airflow: Airflow, tmp_path: Path) -> None:
    assert load_settings().ledger_url == LEDGER
    assert json.loads((tmp_path / FOUND).read_text()) == ["evergreen_ledger"]
    assert load_settings().mlflow_uri.startswith("sqlite:///"), "nobody defined that one"


def test_what_was_there_once_is_never_a_default(airflow: Airflow, tmp_path: Path) -> None:
    load_settings()
    asked = airflow.connections.pop("evergreen_ledger")  # as when the API server is away
    with pytest.raises(Unavailable, match="does not give evergreen_ledger") as refused:
        load_settings()
    assert is_retryable(refused.value)
    assert str(tmp_path / FOUND) in str(refused.value)
    airflow.connections["evergreen_ledger"] = asked
    assert load_settings().ledger_url == LEDGER


def test_a_person_may_do_without_it_again(
    airflow: Airflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_settings()
    airflow.connections["evergreen_ledger"] = connection()
    assert load_settings().ledger_url.startswith("sqlite:///"), "it is there, and left blank"
    del airflow.connections["evergreen_ledger"]
    monkeypatch.setenv("EVERGREEN_LEDGER_URL", "sqlite:////tmp/other.db")
    assert load_settings().ledger_url == "sqlite:////tmp/other.db"
    monkeypatch.delenv("EVERGREEN_LEDGER_URL")
    (tmp_path / FOUND).unlink()
    assert load_settings().ledger_url.startswith("sqlite:///")


def test_a_new_home_is_made_for_it(
    airflow: Airflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "not" / "yet"))
    load_settings()
    assert [path.name for path in (tmp_path / "not" / "yet").iterdir()] == [FOUND]
    shutil.rmtree(tmp_path / "not")


def test_the_variable_too(airflow: Airflow) -> None:
    airflow.variables["evergreen_settings"] = '{"lake_uri": "s3://bucket/lake"}'
    assert load_settings().lake_uri == "s3://bucket/lake"
    airflow.variables["evergreen_settings"] = "s3://bucket/lake"
    with pytest.raises(SettingsError, match="a JSON object is expected"):
        load_settings()
    del airflow.variables["evergreen_settings"]
    with pytest.raises(Unavailable, match="does not give evergreen_settings"):
        load_settings()
