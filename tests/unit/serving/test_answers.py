"""What a running service answers: the protocol in all its forms, and who it says it is."""

import json

import numpy as np
import pandas as pd
import pytest
import requests

pytestmark = [
    # What MLflow says of its own classes while its client is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
]


def forms(rows: list[dict]) -> dict[str, dict]:
    names = list(rows[0])
    lists = [[row[name] for name in names] for row in rows]
    return {
        "records": {"dataframe_records": rows},
        "split": {"dataframe_split": {"columns": names, "data": lists}},
        "split with index": {
            "dataframe_split": {"columns": names, "data": lists, "index": list(range(len(rows)))}
        },
        "instances of records": {"instances": rows},
        "instances of lists": {"instances": lists},
        "inputs by column": {"inputs": {name: [row[name] for row in rows] for name in names}},
        "inputs of records": {"inputs": rows},
        "empty params": {"dataframe_records": rows, "params": {}},
    }


def test_every_form_of_the_protocol_gives_the_offline_predictions(service) -> None:
    golden = json.loads((service.made.directory / "golden.json").read_text())
    for name, document in forms(golden["rows"]).items():
        answer = service.post(document)
        assert answer.status_code == 200, (name, answer.text)
        assert answer.json() == {"predictions": golden["predictions"]["prediction"]}, name


def test_csv_is_part_of_the_protocol(service) -> None:
    golden = json.loads((service.made.directory / "golden.json").read_text())
    text = pd.DataFrame(golden["rows"]).to_csv(index=False)
    answer = service.send(text.encode(), "text/csv; charset=utf-8")
    assert answer.json()["predictions"] == golden["predictions"]["prediction"]


def test_a_row_alone_is_answered_as_among_others(service) -> None:
    expected = json.loads((service.made.directory / "golden.json").read_text())["predictions"]
    for row, prediction in zip(service.made.rows[:5], expected["prediction"], strict=False):
        assert service.post({"inputs": row}).json()["predictions"] == [prediction]


def test_a_classification_answers_with_a_record_a_row(weather_service) -> None:
    golden = json.loads((weather_service.made.directory / "golden.json").read_text())
    answer = weather_service.post({"dataframe_records": golden["rows"]})
    records = answer.json()["predictions"]
    assert set(records[0]) == {
        "prediction", "probability_clear", "probability_mist", "probability_rain",
    }  # fmt: skip
    for name, values in golden["predictions"].items():
        assert [record[name] for record in records] == values


def test_mlflows_own_client_works(service, weather_service) -> None:
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    for running, columns in ((service, 1), (weather_service, 4)):
        client = ScoringServerClient("127.0.0.1", running.port)
        client.wait_server_ready(timeout=10)
        assert json.loads(client.get_version())["version"] == "7"
        frame = pd.DataFrame(running.made.rows).dropna()
        predictions = client.invoke(frame).get_predictions()
        assert predictions.shape == (len(frame), columns)


def test_version_health_and_contract_say_what_is_served(service) -> None:
    about = requests.get(f"{service.url}/version", timeout=10).json()
    assert about["model"] == "rides"
    assert about["manifest_digest"] == service.made.digest
    assert about["training_key"] == "k" * 64
    assert about["libraries"]["numpy"] == np.__version__
    health = requests.get(f"{service.url}/health", timeout=10)
    assert health.status_code == 200
    assert health.json()["golden_difference"] <= 1e-9
    contract = requests.get(f"{service.url}/contract", timeout=10).json()
    assert contract == json.loads((service.made.directory / "contract.json").read_text())


@pytest.mark.parametrize("path", ["/ping", "/nowhere", "/invocations"])
def test_every_answer_names_version_and_request(service, path) -> None:
    answer = requests.get(f"{service.url}{path}", headers={"X-Request-Id": "mine-1"}, timeout=10)
    assert answer.headers["X-Model-Version"] == "7"
    assert answer.headers["X-Request-Id"] == "mine-1"
    assert answer.headers["Content-Type"] == "application/json"
    odd = requests.get(f"{service.url}{path}", headers={"X-Request-Id": "a b<script>"}, timeout=10)
    assert len(odd.headers["X-Request-Id"]) == 32


def test_an_unknown_path_is_404_and_a_wrong_method_405_in_json(service) -> None:
    missing = requests.get(f"{service.url}/v1/models", timeout=10)
    assert (missing.status_code, missing.json()["error_code"]) == (404, "NOT_FOUND")
    wrong = requests.get(f"{service.url}/invocations", timeout=10)
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")
    assert wrong.json()["error_code"] == "METHOD_NOT_ALLOWED"
