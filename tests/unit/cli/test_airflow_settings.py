"""airflow_settings.yaml is in the Astro CLI's schema, holds no secret, and serves what we need."""

import json
from pathlib import Path

import pytest

from include.evergreen import settings
from include.evergreen.cli.airflow_settings import SETTINGS_FILE, Connection, read_settings
from include.evergreen.dag_kit import CONTAINER_POOL, TRAINING_POOL
from include.evergreen.errors import SettingsError
from include.evergreen.spec import load_specs


def test_the_shipped_file_names_every_connection_and_pool_that_the_code_asks_for() -> None:
    shipped = read_settings().airflow
    assert {c.conn_id for c in shipped.connections} == set(settings.CONNECTIONS.values())
    assert {p.pool_name for p in shipped.pools} == {TRAINING_POOL, CONTAINER_POOL}


def test_the_training_pool_has_a_slot_for_every_worker_of_a_shipped_model() -> None:
    pools = {p.pool_name: p.pool_slot for p in read_settings().airflow.pools}
    specs = load_specs(settings.load({}).models_dir).specs.values()
    assert pools[TRAINING_POOL] >= max(spec.training.budget.workers for spec in specs)


def test_the_shipped_connections_say_nothing_and_so_leave_every_default() -> None:
    from airflow.sdk import Connection as AirflowConnection

    for setting, conn_id in settings.CONNECTIONS.items():
        (entry,) = [c for c in read_settings().airflow.connections if c.conn_id == conn_id]
        body = entry.as_api()
        assert not {"login", "password"} & set(body), f"{conn_id} ships a login"
        blank = AirflowConnection(
            conn_id=conn_id, conn_type=body["conn_type"], extra=body.get("extra")
        )
        assert settings.from_connection(setting, blank) == {}, conn_id


def test_the_shipped_variable_names_every_setting_it_may_hold_and_sets_none() -> None:
    (variable,) = read_settings().airflow.variables
    assert variable.variable_name == settings.VARIABLE
    held = json.loads(str(variable.variable_value))
    assert set(held) == set(settings.VARIABLE_FIELDS)
    assert settings.from_variable(held, {}) == {}


def test_the_environment_wins_over_the_variable() -> None:
    held = {"lake_uri": "s3://bucket/lake", "base_image": "site/python:3.11"}
    environment = {"EVERGREEN_BASE_IMAGE": "own:1"}
    assert settings.from_variable(held, environment) == {"lake_uri": "s3://bucket/lake"}


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ("s3://bucket", "holds a str; a JSON object is expected"),
        ({"ledger_url": "sqlite:///x"}, "'ledger_url'.*What has a login is a connection"),
        ({"lake_uri": 7}, r"'lake_uri' \(int\); it may hold texts"),
    ],
)
def test_what_the_variable_may_not_hold_is_refused(held: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings.from_variable(held, {})


def _read(tmp_path: Path, text: str) -> object:
    path = tmp_path / "airflow_settings.yaml"
    path.write_text(text)
    return read_settings(path)


def test_a_misspelt_key_is_refused_with_its_place(tmp_path: Path) -> None:
    text = "airflow:\n  pools:\n    - {pool_name: training, pool_slots: 2}\n"
    with pytest.raises(SettingsError, match=r"airflow\.pools\.0\.pool_slot: Field required"):
        _read(tmp_path, text)
    with pytest.raises(SettingsError, match=r"airflow\.pools\.0\.pool_slots: Extra inputs"):
        _read(tmp_path, text)


def test_a_connection_without_a_type_or_uri_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'a' needs a conn_type or a conn_uri"):
        _read(tmp_path, "airflow:\n  connections:\n    - {conn_id: a, conn_host: h}\n")


def test_what_is_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not YAML"):
        _read(tmp_path, "airflow: [")


def test_the_file_that_the_astro_cli_writes_into_a_new_project_is_taken(tmp_path: Path) -> None:
    blank = """
airflow:
  connections:
    - conn_id: c
      conn_type: http
      conn_host:
      conn_schema:
      conn_login:
      conn_password:
      conn_port:
      conn_extra:
        example_extra_field: example-value
  pools:
    - pool_name: p
      pool_slot: 3
      pool_description:
  variables:
    - variable_name: v
      variable_value: {a: 1}
"""
    read = _read(tmp_path, blank).airflow  # type: ignore[attr-defined]
    assert read.connections[0].as_api() == {
        "connection_id": "c",
        "conn_type": "http",
        "extra": '{"example_extra_field": "example-value"}',
    }
    assert read.pools[0].as_api()["slots"] == 3
    assert read.variables[0].as_api() == {"key": "v", "value": {"a": 1}}


def test_a_uri_is_taken_apart_as_airflow_does() -> None:
    uri = "my-type://ann:s%40crets@host.example:5432/base?timeout=3"
    assert Connection(conn_id="x", conn_uri=uri).as_api() == {
        "connection_id": "x",
        "conn_type": "my_type",
        "host": "host.example",
        "schema": "base",
        "login": "ann",
        "password": "s@crets",
        "port": 5432,
        "extra": '{"timeout": "3"}',
    }


def test_the_settings_file_lies_where_the_astro_cli_looks(project_root: Path) -> None:
    assert project_root / "airflow_settings.yaml" == SETTINGS_FILE
