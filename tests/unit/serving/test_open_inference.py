"""The Open Inference Protocol: tensors into raw columns, refusals by name, answers as asked for."""

import asyncio
import json
from typing import Any

import numpy as np
import pytest
import requests

CONTRACT: dict[str, Any] = {
    "columns": {
        "temperature": {"type": "float", "min": -30, "max": 50, "nullable": True},
        "humidity": {"type": "integer", "min": 0, "max": 100},
        "weather": {"type": "category", "values": ["clear", "rain"]},
        "season": {"type": "category", "values": [1, 2], "unseen": "as_missing"},
        "holiday": {"type": "boolean"},
        "at": {"type": "timestamp"},
    },
    "optional": {"ride": {"type": "key", "nullable": True}},
}
NUMBERS: dict[str, Any] = {
    "columns": {"length": {"type": "float"}, "width": {"type": "float", "nullable": True}},
    "optional": {},
}
CLASSES = ["clear", "mist"]


def tensor(name: str, datatype: str, data: Any, shape: Any = None, **more: Any) -> dict:
    shape = [len(data)] if shape is None else shape
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **more}


def tensors() -> dict[str, dict]:
    each = [
        tensor("temperature", "FP64", [1.5, None]),
        tensor("humidity", "INT64", [20, 30]),
        tensor("weather", "BYTES", ["clear", "rain"]),
        tensor("season", "INT64", [1, 9]),
        tensor("holiday", "BOOL", [True, False]),
        tensor("at", "BYTES", ["2024-01-01", "2024-01-02T03:04:05Z"]),
    ]
    return {one["name"]: one for one in each}


def read(document: Any, contract: dict = CONTRACT, classes: Any = None, max_rows: int = 5) -> Any:
    from open_inference import read_inference

    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_inference(body, contract, classes, max_rows)


def refusal(document: Any, **options: Any) -> Any:
    from refusals import Refusal

    with pytest.raises(Refusal) as caught:
        read(document, **options)
    return caught.value


def named(document: Any, **options: Any) -> list[tuple[str, str]]:
    refused = refusal(document, **options)
    assert refused.status == 422
    return [(field["field"], field["seen"]) for field in refused.fields]


def test_a_tensor_for_each_column_gives_the_raw_columns() -> None:
    given = read({"id": "q1", "inputs": list(tensors().values())})
    assert given.columns == {
        "temperature": [1.5, None],
        "humidity": [20, 30],
        "weather": ["clear", "rain"],
        "season": [1, 9],
        "holiday": [True, False],
        "at": ["2024-01-01", "2024-01-02T03:04:05Z"],
    }
    assert (given.id, given.outputs) == ("q1", ("prediction",))


@pytest.mark.parametrize("data", [[1, 2], [[1], [2]]])
def test_a_column_may_have_the_shape_n_1_flat_or_nested(data) -> None:
    each = tensors() | {"humidity": tensor("humidity", "UINT8", data, [2, 1])}
    assert read({"inputs": list(each.values())}).columns["humidity"] == [1, 2]


def test_what_a_client_writes_as_null_counts_as_left_out() -> None:
    each = [one | {"parameters": None} for one in tensors().values()]
    given = read({"id": None, "parameters": None, "outputs": None, "inputs": each})
    assert (given.id, given.outputs) == (None, ("prediction",))


@pytest.mark.parametrize(
    ("name", "datatype", "value"),
    [
        ("temperature", "FP32", 1.5),
        ("temperature", "FP16", 1),
        ("temperature", "INT8", -3),
        ("humidity", "UINT64", 3),
        ("humidity", "INT16", 3.0),
        ("season", "INT32", None),
        ("ride", "BYTES", "r1"),
        ("ride", "INT64", 7),
    ],
)
def test_a_datatype_that_fits_the_column_is_taken(name, datatype, value) -> None:
    given = read({"inputs": [tensor(name, datatype, [value])]})
    assert given.columns == {name: [value]}


@pytest.mark.parametrize(
    ("name", "datatype"),
    [
        ("temperature", "BYTES"),
        ("temperature", "BOOL"),
        ("humidity", "FP64"),
        ("weather", "INT64"),
        ("season", "BYTES"),
        ("season", "FP32"),
        ("holiday", "INT8"),
        ("at", "INT64"),
        ("ride", "FP64"),
        ("humidity", "BF16"),
        ("humidity", ""),
        ("humidity", None),
        ("humidity", ["INT64"]),
    ],
)
def test_a_datatype_that_does_not_fit_names_the_column_and_what_does(name, datatype) -> None:
    (field,) = refusal({"inputs": [tensor(name, datatype, [1])]}).fields
    assert field["field"] == name
    assert field["seen"].startswith("datatype ")
    assert field["allowed"].startswith("datatype ")


@pytest.mark.parametrize(
    ("name", "datatype", "value", "seen"),
    [
        ("temperature", "INT64", 1.5, "1.5"),
        ("temperature", "FP64", "1", "'1'"),
        ("temperature", "FP64", True, "true or false"),
        ("humidity", "INT8", 200, "200"),
        ("humidity", "UINT8", -1, "-1"),
        ("humidity", "INT64", 2**63, "9223372036854775808"),
        ("humidity", "INT64", True, "true or false"),
        ("humidity", "INT64", [1], "[1]"),
        ("holiday", "BOOL", 1, "1"),
        ("weather", "BYTES", 5, "5"),
        ("weather", "BYTES", {"a": 1}, "an object"),
    ],
)
def test_a_value_that_is_not_of_its_datatype_is_named_with_its_row(
    name, datatype, value, seen
) -> None:
    (field,) = refusal({"inputs": [tensor(name, datatype, [None, value])]}).fields
    assert (field["field"], field["seen"], field["row"], field["rows"]) == (name, seen, 1, 1)
    assert field["allowed"].endswith(f"as datatype {datatype}")


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_no_json_reaches_the_contract_which_names_its_field(token) -> None:
    text = json.dumps({"inputs": [tensor("temperature", "FP64", ["@"])]}).replace('"@"', token)
    (value,) = read(text.encode()).columns["temperature"]
    assert not np.isfinite(value)
    whole = json.dumps({"inputs": [tensor("humidity", "INT64", ["@"])]}).replace('"@"', token)
    (field,) = refusal(whole.encode()).fields
    assert field["field"] == "humidity"


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([3], [1, 2]),
        ([2], [[1], [2]]),
        ([2, 1], [[1, 2], [3, 4]]),
        ([2, 1], [[1], 2]),
        ([1, 2], [1, 2]),
        ([2, 1, 1], [1, 2]),
        ([], [1]),
        ([-1], [1]),
        ([True], [1]),
        ([1.0], [1]),
        (1, [1]),
        (None, [1]),
        (["1"], [1]),
        ([10**15], [1]),
        ([1], None),
        ([1], 5),
        ([1], "5"),
        ([1], {"0": 1}),
    ],
)
def test_a_shape_that_the_data_does_not_have_names_the_column(shape, data) -> None:
    one = {"name": "humidity", "shape": shape, "datatype": "INT64", "data": data}
    (field,) = refusal({"inputs": [one]}).fields
    assert field["field"] == "humidity"


def test_data_left_out_or_sent_as_bytes_is_named() -> None:
    without = {"name": "humidity", "shape": [1], "datatype": "INT64"}
    assert named({"inputs": [without]}) == [("humidity", "no data")]
    binary = without | {"parameters": {"binary_data_size": 8}}
    assert named({"inputs": [binary]}) == [
        ("humidity.parameters.binary_data_size", "a parameter that is not understood")
    ]


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (5, "(body)"),
        ([], "(body)"),
        (None, "(body)"),
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": [5]}, "inputs[0]"),
        ({"inputs": [{}]}, "inputs[0].name"),
        ({"inputs": [{"name": 5}]}, "inputs[0].name"),
        ({"inputs": [tensor("humidity", "INT64", [1])] * 2}, "humidity"),
        ({"inputs": [tensor("humidty", "INT64", [1])]}, "humidty"),
        ({"inputs": [tensor("humidity", "INT64", [1], extra=1)]}, "humidity.extra"),
        ({"inputs": [tensor("humidity", "INT64", [1], parameters=[])]}, "humidity.parameters"),
        ({"inputs": [], "model": "x"}, "model"),
        ({"inputs": [], "id": 5}, "id"),
        ({"inputs": [], "id": "i" * 1025}, "id"),
        ({"inputs": [], "parameters": 5}, "parameters"),
        ({"inputs": [], "parameters": {"priority": 1}}, "parameters.priority"),
        ({"inputs": [], "parameters": {"binary_data_output": 1}}, "parameters.binary_data_output"),
        ({"inputs": [], "outputs": {}}, "outputs"),
        ({"inputs": [], "outputs": [5]}, "outputs[0]"),
        ({"inputs": [], "outputs": [{"name": "x"}]}, "outputs[0].name"),
        ({"inputs": [], "outputs": [{"name": "prediction", "shape": 1}]}, "outputs[0]"),
        ({"inputs": [], "outputs": [{"name": "prediction"}] * 2}, "outputs[1].name"),
        (
            {"inputs": [], "outputs": [{"name": "prediction", "parameters": {"top": 1}}]},
            "outputs[0].parameters.top",
        ),
    ],
)
def test_what_is_no_request_is_422_and_its_place_named(document, field) -> None:
    assert [name for name, _ in named(document)] == [field]


def test_no_json_is_400_and_a_deep_one_too() -> None:
    assert refusal(b"{").status == 400
    assert refusal(b'{"inputs":' * 3_000).status == 400


def test_rows_are_limited_and_there_is_at_least_one() -> None:
    many = refusal({"inputs": [tensor("humidity", "INT64", [1] * 6)]})
    assert (many.status, str(many)) == (413, "The request holds 6 rows; at most 5 are taken.")
    none = refusal({"inputs": [tensor("humidity", "INT64", [])]})
    assert (none.status, str(none)) == (422, "The request holds no rows. Send at least one.")


def test_columns_of_different_length_are_named() -> None:
    each = [tensor("humidity", "INT64", [1, 2]), tensor("holiday", "BOOL", [True])]
    (field,) = refusal({"inputs": each}).fields
    assert (field["field"], field["seen"]) == ("holiday", "1 rows")
    assert field["allowed"] == "2, as 'humidity' has"


def test_every_wrong_tensor_is_named_at_once() -> None:
    each = [tensor("humidity", "FP64", [1]), tensor("at", "BYTES", [1]), tensor("x", "BOOL", [1])]
    assert [name for name, _ in named({"inputs": each})] == ["humidity", "at", "x"]


@pytest.mark.parametrize("data", [[1, 2.5, 3, None], [[1, 2.5], [3, None]]])
def test_one_tensor_may_hold_all_columns_where_each_is_a_number(data) -> None:
    given = read({"inputs": [tensor("rows", "FP32", data, [2, 2])]}, NUMBERS)
    assert given.columns == {"length": [1, 3], "width": [2.5, None]}


@pytest.mark.parametrize(
    ("one", "seen"),
    [
        (tensor("rows", "FP64", [1, 2, 3], [1, 3]), "shape [1, 3]"),
        (tensor("rows", "FP64", [1, 2, 3], [2, 2]), "data of another size for shape [2, 2]"),
        (tensor("rows", "FP64", [[1], [2]], [1, 2]), "data of another size for shape [1, 2]"),
        (tensor("rows", "FP64", [[1, 2], 3], [1, 2]), "data of another size for shape [1, 2]"),
        (tensor("rows", "FP64", "12", [1, 2]), "data of another size for shape [1, 2]"),
        (tensor("rows", "BYTES", ["1", "2"], [1, 2]), "datatype 'BYTES'"),
        (tensor("rows", "FP64", [1, 2], [1, 2, 1]), "shape [1, 2, 1]"),
        (tensor("rows", "FP64", [1, 2]), "an input the contract does not have"),
    ],
)
def test_one_tensor_of_another_size_is_refused_with_what_is_allowed(one, seen) -> None:
    assert named({"inputs": [one]}, contract=NUMBERS) == [("rows", seen)]


def test_a_matrix_is_limited_in_rows_and_its_bad_column_is_named() -> None:
    assert refusal({"inputs": [tensor("rows", "FP64", [], [6, 2])]}, contract=NUMBERS).status == 413
    assert refusal({"inputs": [tensor("rows", "FP64", [], [0, 2])]}, contract=NUMBERS).status == 422
    bad = tensor("rows", "FP64", [1, 2, 3, "4"], [2, 2])
    assert named({"inputs": [bad]}, contract=NUMBERS) == [("width", "'4'")]


def test_one_tensor_for_columns_that_are_not_all_numbers_is_refused_naming_them() -> None:
    (field,) = refusal({"inputs": [tensor("rows", "FP64", [1] * 6, [1, 6])]}).fields
    assert field["field"] == "rows"
    assert field["allowed"] == (
        "one input for each of temperature, humidity, weather, season, holiday, at, of shape [n]: "
        "not all of them are numbers"
    )


def test_outputs_are_answered_as_asked_for_and_binary_wishes_in_json() -> None:
    from open_inference import write_inference

    wanted = [{"name": "probability_mist", "parameters": {"binary_data": True}}]
    each = list(tensors().values())
    document = {"id": "", "inputs": each, "outputs": wanted}
    document["parameters"] = {"binary_data_output": True}
    given = read(document, classes=CLASSES)
    predictions = {
        "prediction": ["clear", "mist"],
        "probability_clear": [0.75, 0.25],
        "probability_mist": [0.25, 0.75],
    }
    written = write_inference(given, predictions, name="m", version="3", classes=CLASSES)
    assert json.loads(written) == {
        "model_name": "m",
        "model_version": "3",
        "id": "",
        "outputs": [
            {"name": "probability_mist", "datatype": "FP64", "shape": [2], "data": [0.25, 0.75]}
        ],
    }
    everything = read({"inputs": each, "outputs": []}, classes=CLASSES)
    assert everything.outputs == tuple(predictions)
    answer = json.loads(
        write_inference(everything, predictions, name="m", version="3", classes=CLASSES)
    )
    assert [one["datatype"] for one in answer["outputs"]] == ["BYTES", "FP64", "FP64"]
    assert "id" not in answer


@pytest.mark.parametrize(
    ("classes", "datatype"),
    [(None, "FP64"), (["a", "b"], "BYTES"), ([True, False], "BOOL"), ([3, 4], "INT64")],
)
def test_the_datatype_of_a_prediction_is_that_of_its_classes(classes, datatype) -> None:
    from open_inference import output_datatypes

    assert output_datatypes(classes)["prediction"] == datatype


def test_the_metadata_lists_every_column_and_marks_the_optional_ones() -> None:
    from open_inference import model_metadata

    about = model_metadata(
        name="m", version="3", contract=CONTRACT, classes=CLASSES, estimator="estimator.onnx"
    )
    assert (about["name"], about["versions"], about["platform"]) == ("m", ["3"], "onnxruntime_onnx")
    assert [(i["name"], i["datatype"]) for i in about["inputs"]] == [
        ("temperature", "FP64"), ("humidity", "INT64"), ("weather", "BYTES"), ("season", "INT64"),
        ("holiday", "BOOL"), ("at", "BYTES"), ("ride", "BYTES"),
    ]  # fmt: skip
    assert [i["parameters"]["optional"] for i in about["inputs"]] == [False] * 6 + [True]
    nullable = {i["name"] for i in about["inputs"] if i["parameters"]["nullable"]}
    assert nullable == {"temperature", "season", "ride"}
    assert [o["name"] for o in about["outputs"]] == [
        "prediction", "probability_clear", "probability_mist",
    ]  # fmt: skip


def golden_request(running: Any, n_rows: int) -> tuple[dict, dict]:
    from examples import inference

    golden = json.loads((running.made.directory / "golden.json").read_text())
    contract = json.loads((running.made.directory / "contract.json").read_text())
    return inference(golden["rows"][:n_rows], contract), golden["predictions"]


def test_a_running_service_gives_the_offline_predictions(service, weather_service) -> None:
    for running, name in ((service, "rides"), (weather_service, "weather")):
        request, expected = golden_request(running, 40)
        for path in (f"/v2/models/{name}/infer", f"/v2/models/{name}/versions/7/infer"):
            answer = requests.post(f"{running.url}{path}", json={**request, "id": "q"}, timeout=30)
            assert answer.status_code == 200, answer.text
            content = answer.json()
            assert {o["name"]: o["data"] for o in content["outputs"]} == expected
            assert {tuple(o["shape"]) for o in content["outputs"]} == {(40,)}
            assert (content["model_name"], content["model_version"]) == (name, "7")
            assert content["id"] == "q"
            assert answer.headers["X-Model-Version"] == "7"


def test_tritons_public_client_works(service, weather_service) -> None:
    from tritonclient import http

    for running, name in ((service, "rides"), (weather_service, "weather")):
        request, expected = golden_request(running, 40)
        with http.InferenceServerClient(f"127.0.0.1:{running.port}") as client:
            assert client.is_server_live()
            assert client.is_server_ready()
            assert client.is_model_ready(name)
            assert client.is_model_ready(name, "7")
            assert not client.is_model_ready(name, "8")
            assert client.get_server_metadata()["name"] == "evergreen"
            about = client.get_model_metadata(name, "7")
            assert [i["name"] for i in about["inputs"]][:2] == ["temperature", "humidity"]
            inputs = [input_of(one) for one in request["inputs"]]
            wanted = [
                http.InferRequestedOutput(output["name"], binary_data=False)
                for output in about["outputs"]
            ]
            # Without named outputs the client asks for binary ones, and reads JSON as well.
            for outputs in (wanted, None):
                result = client.infer(name, inputs, outputs=outputs, request_id="r1")
                assert result.get_response()["id"] == "r1"
                for output, values in expected.items():
                    assert result.as_numpy(output).tolist() == values[1:17]


def input_of(one: dict) -> Any:
    """A tensor of rows 1 to 16, of which none has a missing value: the client's arrays cannot."""
    from tritonclient import http

    kinds = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
    values = np.array(one["data"][1:17], dtype=kinds[one["datatype"]])
    made = http.InferInput(one["name"], list(values.shape), one["datatype"])
    made.set_data_from_numpy(values, binary_data=False)
    return made


def test_the_public_client_reads_the_refusal(service) -> None:
    from tritonclient import http
    from tritonclient.utils import InferenceServerException

    with http.InferenceServerClient(f"127.0.0.1:{service.port}") as client:
        with pytest.raises(InferenceServerException, match="'other' is not served here"):
            client.get_model_metadata("other")
        one = http.InferInput("humidity", [1], "INT64")
        one.set_data_from_numpy(np.array([500]), binary_data=False)
        with pytest.raises(InferenceServerException, match="'humidity': seen 500, allowed a whole"):
            client.infer("rides", [one])
        one.set_data_from_numpy(np.array([500]), binary_data=True)
        with pytest.raises(InferenceServerException, match="binary_data=False"):
            client.infer("rides", [one])


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v2", {"name": "evergreen", "version": "1", "extensions": []}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/rides/ready", {"name": "rides", "ready": True}),
        ("/v2/models/rides/versions/7/ready", {"name": "rides", "ready": True}),
    ],
)
def test_health_and_server_answer_in_the_protocols_words(service, path, content) -> None:
    answer = requests.get(f"{service.url}{path}", timeout=10)
    assert (answer.status_code, answer.json()) == (200, content)


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "/v2/models/other", "Model 'other' is not served here; 'rides' is."),
        ("GET", "/v2/models/other/ready", "Model 'other' is not served here; 'rides' is."),
        ("POST", "/v2/models/other/infer", "Model 'other' is not served here; 'rides' is."),
        (
            "GET",
            "/v2/models/rides/versions/8",
            "Version '8' of 'rides' is not served here; '7' is.",
        ),
        (
            "POST",
            "/v2/models/rides/versions/07/infer",
            "Version '07' of 'rides' is not served here; '7' is.",
        ),
    ],
)
def test_another_model_or_version_is_404_in_the_protocols_form(
    service, method, path, message
) -> None:
    answer = requests.request(method, f"{service.url}{path}", json={}, timeout=10)
    assert (answer.status_code, answer.json()) == (404, {"error": message})


def test_errors_under_v2_have_the_protocols_form_and_our_fields(service) -> None:
    url = f"{service.url}/v2/models/rides/infer"
    missing = requests.post(url, json={"inputs": [tensor("humidity", "INT64", [500])]}, timeout=10)
    assert missing.status_code == 422
    said = missing.json()
    assert set(said) == {"error", "fields", "field_count"}
    seen = {field["field"]: field["seen"] for field in said["fields"]}
    assert seen["humidity"] == "500"
    assert seen["weather"] == "nothing: it is missing"
    for answer, status in (
        (requests.get(url, timeout=10), 405),
        (requests.get(f"{service.url}/v2/nowhere", timeout=10), 404),
        (requests.post(url, data=b"{", timeout=10), 400),
        (requests.post(url, data=b"a,b", headers={"Content-Type": "text/csv"}, timeout=10), 415),
        (requests.post(url, data=b" " * 70_000, timeout=10), 413),
        (
            requests.post(url, json={"inputs": [tensor("season", "INT64", [1] * 101)]}, timeout=10),
            413,
        ),
    ):
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}
    assert requests.get(url, timeout=10).headers["Allow"] == "POST"


def test_what_is_asked_over_v2_is_logged_and_counted_as_any_other(weather_service) -> None:
    request, _ = golden_request(weather_service, 3)
    before = requests.get(f"{weather_service.url}/stats", timeout=10).json()["counts"]["rows"]
    url = f"{weather_service.url}/v2/models/weather/infer"
    assert requests.post(url, json=request, timeout=30).status_code == 200
    after = requests.get(f"{weather_service.url}/stats", timeout=10).json()["counts"]["rows"]
    assert after - before == 3


def test_a_model_that_predicts_otherwise_than_at_training_is_alive_and_not_ready() -> None:
    from inference_routes import InferenceRoutes
    from starlette.requests import Request

    class Ill:
        model, version = "rides", "7"

        def is_healthy(self) -> bool:
            return False

    routes = InferenceRoutes(Ill())
    request = Request({"type": "http", "path_params": {"name": "rides"}})
    answers = {
        "live": asyncio.run(routes.live(request)),
        "ready": asyncio.run(routes.ready(request)),
        "model": asyncio.run(routes.model_ready(request)),
    }
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "live": 200, "ready": 503, "model": 503,
    }  # fmt: skip
    assert json.loads(answers["model"].body) == {"name": "rides", "ready": False}


@pytest.mark.parametrize(
    ("path", "key"),
    [("/v2", "error"), ("/v2/x", "error"), ("/v2x", "message"), ("/invocations", "message")],
)
def test_an_error_takes_the_form_of_its_path(path, key) -> None:
    from pages import refused

    assert json.loads(refused(path, 500, "said"))[key] == "said"
