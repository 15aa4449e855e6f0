"""The document and the page of the interface: true, complete, and safe to show."""

import base64
import hashlib
import json
import re
import types
from html.parser import HTMLParser
from typing import Any

import jsonschema
import openapi_spec_validator
import pytest
import requests

from include.evergreen.model_code.predictor import Predictor, columns_of_rows
from tests.unit.serving.conftest import started

EVIL = '<script>alert("1")</script>'


def about(**changes: Any) -> Any:
    from openapi import About

    contract = {
        "task": "multiclass",
        "target": EVIL,
        "time_zone": "Europe/Berlin",
        "columns": {
            EVIL: {"type": "category", "values": [EVIL, "it's"], "nullable": True},
            "size": {"type": "float", "min": 0.5, "max": None},
        },
        "optional": {"k": {"type": "key", "nullable": True}},
    }
    made: dict[str, Any] = {
        "model": EVIL,
        "version": "7",
        "contract": contract,
        "golden": {
            "rows": [{EVIL: "it's", "size": 1.0}],
            "predictions": {
                "prediction": [EVIL],
                f"probability_{EVIL}": [0.75],
                "probability_b": [0.25],
            },
        },
        "classes": [EVIL, "b"],
        "max_rows": 100,
        "max_body_bytes": 65_536,
        "body_timeout_s": 15.0,
    }
    return About(**(made | changes))


def document_of(running: Any) -> dict[str, Any]:
    answer = requests.get(f"{running.url}/openapi.json", timeout=30)
    assert answer.headers["Content-Type"] == "application/json"
    document: dict[str, Any] = answer.json()
    return document


def schema(document: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    whole = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(whole)


def test_the_document_is_valid_openapi_3_1(service, weather_service) -> None:
    for running in (service, weather_service):
        document = document_of(running)
        assert document["openapi"].startswith("3.1.")
        openapi_spec_validator.validate(document)
        assert "at most" in document["info"]["description"]


def test_every_path_of_the_app_is_described_and_no_other(service) -> None:
    from openapi import document
    from pages import build_pages

    pages: Any = build_pages(types.SimpleNamespace(prediction_log=None, metrics=None))
    served = {"/invocations", *(route.path for route in pages.routes)}
    assert set(document_of(service)["paths"]) == served
    described = document(about(), {*served, "/metrics", "/nowhere"})
    assert set(described["paths"]) == {*served, "/metrics"}


def test_the_examples_are_valid_and_answered_with_what_the_document_shows(
    service, weather_service
) -> None:
    for running in (service, weather_service):
        document = document_of(running)
        post = document["paths"]["/invocations"]["post"]
        shown = post["responses"]["200"]["content"]["application/json"]["example"]
        schema(document, "Predictions").validate(shown)
        examples = post["requestBody"]["content"]["application/json"]["examples"]
        assert set(examples) == {"dataframe_split", "dataframe_records", "instances", "inputs"}
        for example in examples.values():
            schema(document, "Invocation").validate(example["value"])
            assert running.post(example["value"]).json() == shown
        text = post["requestBody"]["content"]["text/csv"]["example"]
        assert running.send(text.encode(), "text/csv").json() == shown
        (path,) = (p for p in document["paths"] if p == "/v2/models/{name}/infer")
        infer = document["paths"][path]["post"]
        body = infer["requestBody"]["content"]["application/json"]["example"]
        schema(document, "InferenceRequest").validate(body)
        url = running.url + path.format(name=running.made.spec.model)
        outcome = infer["responses"]["200"]["content"]["application/json"]["example"]
        assert requests.post(url, json=body, timeout=10).json() == outcome


VALUES = [
    ("temperature", 50), ("temperature", 50.5), ("temperature", -30), ("temperature", "7"),
    ("temperature", True), ("temperature", None), ("humidity", None), ("humidity", 3.5),
    ("humidity", 3.0), ("humidity", 101), ("weather", "snow"), ("weather", None),
    ("season", 9), ("season", "x"), ("season", None), ("season", True), ("holiday", 1),
    ("holiday", 2), ("holiday", None), ("at", "2024-02-29"), ("at", "2023-02-29"),
    ("at", "2100-02-29"), ("at", "2000-02-29"), ("at", "2024-04-31"), ("at", "1899-12-31"),
    ("at", "2199-12-31 23:59"), ("at", "2200-01-01"), ("at", "2024-07-01T10:00:00.123456+14:00"),
    ("at", "2024-07-01T24:30"), ("at", "yesterday"), ("at", "2024-07-01 "), ("at", 17),
    ("at", "2024-07-01T10:00:00.1234567Z"), ("ride", 17), ("ride", "x" * 4096),
    ("ride", "x" * 4097), ("ride", None), ("ride", 2**64 - 1), ("ride", -(2**63)), ("ride", True),
    ("ride", 1.5), ("other", 1),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), VALUES)
def test_the_schema_of_a_row_takes_what_the_service_takes(service, field, value) -> None:
    row = {**service.made.rows[1], field: value}
    taken = service.post({"dataframe_records": [row]}).status_code == 200
    # Seven digits of a second are taken and cut; the document promises six.
    if value != "2024-07-01T10:00:00.1234567Z":
        assert schema(document_of(service), "Records").is_valid([row]) == taken, (field, value)
    assert schema(document_of(service), "Row").is_valid(row) <= taken


def test_rows_with_different_fields_and_too_many_rows_break_the_schema(service) -> None:
    records = schema(document_of(service), "Records")
    row = service.made.rows[1]
    assert records.is_valid([row, row])
    assert records.is_valid([row | {"ride": "a"}] * 2)
    assert not records.is_valid([row, row | {"ride": "a"}])
    assert records.is_valid([row] * 100)
    assert not records.is_valid([row] * 101)
    assert not records.is_valid([])


def test_the_schemas_know_the_limits_of_the_contracts_own_code() -> None:
    import column_schemas

    from include.evergreen.model_code import row_contract

    assert column_schemas.LARGEST == row_contract.LARGEST
    assert column_schemas.LONGEST_TEXT == row_contract.LONGEST_TEXT


def test_a_contract_of_numbers_may_come_as_one_tensor() -> None:
    from openapi import document

    numbers = {"columns": {"a": {"type": "float"}, "b": {"type": "float"}}, "optional": {}}
    golden = {"rows": [{"a": 1.0, "b": 2.0}], "predictions": {"prediction": [1.0]}}
    described = document(about(contract=numbers, golden=golden, classes=None), {"/ping"})
    request = schema(described, "InferenceRequest")
    one = {"name": "rows", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2]]}
    assert request.is_valid({"inputs": [one]})
    assert request.is_valid({"inputs": [one | {"data": [1, 2]}]})
    assert not request.is_valid({"inputs": [one | {"shape": [1, 3]}]})
    assert not request.is_valid({"inputs": [one | {"name": "a"}]})


class Tags(HTMLParser):
    """What a browser would make of a page: its tags, their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


HARMLESS = {
    "html", "head", "meta", "title", "style", "body", "header", "main", "nav", "section", "h1",
    "h2", "h3", "p", "a", "b", "ul", "li", "span", "div", "table", "thead", "tbody", "tr", "th",
    "td", "code", "pre", "figure", "figcaption",
}  # fmt: skip


def test_what_a_contract_holds_is_shown_and_never_run() -> None:
    from docs_page import page
    from openapi import document

    described = document(about(), {"/invocations", "/openapi.json"})
    read = Tags(page(about(), described, "http://127.0.0.1:8080"))
    assert {tag for tag, _ in read.tags} <= HARMLESS
    for _, attributes in read.tags:
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
        assert attributes.get("href", "#").startswith(("#", "/openapi.json"))
    shown = "".join(read.texts)
    assert shown.count(EVIL) > 5
    assert "http" not in re.sub(r"http://127\.0\.0\.1:8080", "", shown)


def test_the_example_survives_a_shell_whatever_the_contract_holds() -> None:
    import shlex

    from docs_page import page
    from openapi import document

    read = Tags(page(about(), document(about(), {"/invocations"}), "http://h:1"))
    (command, *_) = (text for text in read.texts if text.startswith("curl"))
    words = shlex.split(command.replace("\\\n", " "))
    assert json.loads(words[-1]) == {"dataframe_records": [{EVIL: "it's", "size": 1.0}]}


def test_the_page_is_whole_in_itself_and_its_policy_allows_only_its_own_style(service) -> None:
    answer = requests.get(f"{service.url}/docs", timeout=30)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme:dark" in style
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for name in (*document_of(service)["paths"], "temperature", "A whole number from 0 to 100."):
        assert name in answer.text


@pytest.mark.parametrize(
    ("host", "shown"),
    [("models.example:81", "http://models.example:81/"), ("a'b", "http://127.0.0.1:8080/")],
)
def test_the_example_is_sent_to_where_the_page_was_asked_for(service, host, shown) -> None:
    answer = requests.get(f"{service.url}/docs", headers={"Host": host}, timeout=30)
    assert f"{shown}invocations" in answer.text
    assert host in answer.text or shown.startswith("http://127.0.0.1")


def test_the_values_of_private_columns_are_shown_to_nobody(rides) -> None:
    from examples import shown

    predictor = Predictor.load(rides.directory, rides.digest)
    assert shown(predictor, ()) == predictor.golden
    private = {"temperature", "humidity", "weather", "season", "holiday"}
    masked = shown(predictor, private)
    wanted = {"temperature": None, "humidity": 0, "weather": "clear", "season": 1, "holiday": False}
    for row, golden in zip(masked["rows"], predictor.golden["rows"], strict=False):
        assert row == {**golden, **wanted}
    answer = predictor.predict(predictor.parse(columns_of_rows(masked["rows"])))
    assert masked["predictions"]["prediction"] == answer["prediction"].tolist()


def test_the_page_and_the_document_mask_private_columns(rides, tmp_path, free_port) -> None:
    env = {"EVERGREEN_LOG_PRIVATE": '{"humidity": "leave_out"}'}
    humid = {row["humidity"] for row in rides.rows[:2]}
    with started(rides, tmp_path, free_port(), **env) as running:
        for path in ("/openapi.json", "/docs"):
            text = requests.get(f"{running.url}{path}", timeout=30).text
            assert "humidity" in text
            for value in humid:
                assert not re.search(rf"humidity\W{{1,20}}{value}\b", text), path
