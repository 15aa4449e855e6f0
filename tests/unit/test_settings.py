"""What an Airflow connection says becomes the address that is used, however it was written."""

from types import SimpleNamespace
from typing import Any

import pytest

from include.evergreen import settings


def connection(**given: Any) -> Any:
    blank = {"conn_type": "http", "host": None, "login": None, "password": None, "port": None}
    return SimpleNamespace(**{**blank, "schema": None, "extra_dejson": {}, **given})


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({"host": "mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"host": "mlflow", "conn_type": "https"}, "https://mlflow"),
        ({"host": "mlflow", "schema": "https", "port": 443}, "https://mlflow:443"),
        ({"host": "https://mlflow.example.com"}, "https://mlflow.example.com"),
        ({"host": "https://example.com/mlflow", "port": 8443}, "https://example.com:8443/mlflow"),
        # As a URI (AIRFLOW_CONN_...): Airflow files the path as the schema.
        ({"host": "example.com", "schema": "mlflow", "port": 80}, "http://example.com:80/mlflow"),
        (
            {"conn_type": "https", "host": "hooks.example.com", "schema": "services/T0/B0/x"},
            "https://hooks.example.com/services/T0/B0/x",
        ),
    ],
)
def test_the_address_of_a_connection(given: dict[str, Any], address: str) -> None:
    found = settings.from_connection("alert_webhook", connection(**given))
    assert found == {"alert_webhook": address}


def test_the_address_of_a_webhook_may_be_the_password_which_airflow_keeps_secret() -> None:
    address = "https://hooks.example.com/services/T0/B0/x"
    for host in (None, "hooks.example.com"):
        found = settings.from_connection("alert_webhook", connection(host=host, password=address))
        assert found == {"alert_webhook": address}


def test_the_token_that_clients_show_is_a_password_and_nothing_else() -> None:
    found = settings.from_connection("serving_token", connection(host="x", password="the-secret"))
    assert found == {"serving_token": "the-secret"}
    assert "the-secret" not in repr(settings.load({}, overrides=found))
    assert settings.from_connection("serving_token", connection(host="x")) == {}


def test_the_login_at_mlflow_stays_out_of_its_address_and_of_what_is_shown() -> None:
    found = settings.from_connection(
        "mlflow_uri", connection(host="mlflow", login="airflow", password="the-secret")
    )
    assert found["mlflow_uri"] == "http://mlflow"
    assert (found["mlflow_username"], found["mlflow_password"]) == ("airflow", "the-secret")
    assert "the-secret" not in repr(settings.load({}, overrides=found))
