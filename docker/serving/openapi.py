"""The OpenAPI 3.1 document of one served model: every path, made from the model's own contract.

The schemas are the contract's, the examples its golden rows with what the model answered to them at
training. Only paths that the app serves are described.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from answer_schemas import ANSWERS, inference_answer, predictions
from column_schemas import ContractSchemas, Schema, inference_request
from examples import EXAMPLE_ROWS, csv_text, forms, inference, inference_outcome, prediction_answer
from request_key import LONGEST_KEY

OPENAPI = "3.1.0"
MODEL, VERSIONED = "/v2/models/{name}", "/v2/models/{name}/versions/{version}"
_REFUSALS = {
    400: "The body cannot be read: it is no JSON, no CSV or no UTF-8.",
    404: "No such model or version is served here.",
    408: "The body was not complete in time.",
    413: "More rows or more bytes than the service takes.",
    415: "Another content type, or a compressed body.",
    422: "The body breaks the contract; every field that does is named, with what is allowed.",
    500: "No answer, and not the client's fault: the model gives no finite number for these rows, "
    "or the service's log says why, under the request's id.",
}


@dataclass(frozen=True)
class About:
    """What is described: a model, its contract and golden rows, and the service's limits."""

    model: str
    version: str
    contract: Mapping[str, Any]
    golden: Mapping[str, Any]
    classes: Sequence[Any] | None
    max_rows: int
    max_body_bytes: int
    body_timeout_s: float

    def limits(self) -> str:
        """The limits of a request, for people."""
        return (
            f"A request holds at most {self.max_rows:,} rows and {self.max_body_bytes:,} bytes, "
            f"and its body is there within {self.body_timeout_s:g} s."
        )


def document(about: About, served: Collection[str]) -> dict[str, Any]:
    """The document of a service with these paths."""
    paths = {path: item for path, item in _paths(about).items() if path in served}
    return {
        "openapi": OPENAPI,
        "info": {
            "title": f"Predictions of {about.model}",
            "version": about.version,
            "description": _description(about),
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "Predict", "description": "MLflow's scoring protocol."},
            {"name": "Open Inference Protocol", "description": "Version 2 of it, with JSON data."},
            {"name": "Watch", "description": "Health, versions and counters."},
        ],
        "paths": paths,
        "components": {
            "schemas": _schemas(about),
            "headers": _HEADERS,
            "parameters": _parameters(about),
        },
    }


def _description(about: About) -> str:
    target = about.contract.get("target")
    return (
        f"Version {about.version} of the model {about.model} predicts {target}. {about.limits()} "
        "What breaks the contract is refused, with every field named; nothing is guessed. Columns "
        "of one request are of one length, and its rows have the same fields. A missing value is "
        "null, where the contract allows it; NaN is no JSON. A method that a path does not have is "
        "a 405 with the header Allow. Every answer names the model's version and the request's id "
        "in its headers."
    )


_HEADERS: Schema = {
    "X-Model-Version": {
        "description": "The version that answered.",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-Request-Id": {
        "description": "The client's own id if it is a plain one, else one made for the request.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=-]{1,128}$"},
    },
}


def _parameters(about: About) -> Schema:
    def header(name: str, description: str) -> Schema:
        text = {"type": "string"}
        return {"name": name, "in": "header", "description": description, "schema": text}

    def path(name: str, value: str) -> Schema:
        return {"name": name, "in": "path", "required": True, "schema": {"enum": [value]}}

    return {
        "RequestId": header("X-Request-Id", "Comes back in the answer: letters, digits, ._:/+=-"),
        "RequestKey": header(
            "X-Request-Key",
            f"What the request is about, a text of at most {LONGEST_KEY} bytes: an a/b test "
            "chooses the version by it, and one row that names no key is logged under it.",
        ),
        "Probe": header(
            "X-Evergreen-Probe",
            "Any value: answered as usual, counted apart, not kept in the log. The gateway takes "
            "it from clients.",
        ),
        "Name": path("name", about.model),
        "Version": path("version", about.version),
    }


def _schemas(about: About) -> Schema:
    made = ContractSchemas(about.contract, about.max_rows)
    return {
        "Row": made.row(),
        "Records": made.records(),
        "Lists": made.lists(),
        "Split": made.split(),
        "ByColumn": made.by_column(),
        "Invocation": made.invocation(),
        "Predictions": predictions(about.classes),
        "InferenceRequest": inference_request(made.tensors(), about.classes),
        "Inference": inference_answer(about.model, about.version, about.classes),
        **ANSWERS,
    }


def _paths(about: About) -> dict[str, Any]:
    return {
        "/invocations": {"post": _invocations(about)},
        "/v2": {"get": _get("ServerMetadata", "The server", "inferenceServer", INFERENCE)},
        "/v2/health/live": {"get": _get("Live", "Whether it answers", "live", INFERENCE)},
        "/v2/health/ready": {"get": _ready("Ready", "Whether it predicts rightly", "ready")},
        **_model_paths(about, MODEL, ("Name",), ""),
        **_model_paths(about, VERSIONED, ("Name", "Version"), "OfVersion"),
        "/ping": {"get": _get("Ok", "Whether it answers", "ping")},
        "/health": {"get": _health()},
        "/version": {"get": _get("Version", "What is served, and with what", "version")},
        "/contract": {"get": _get("Contract", "What a row holds", "contract")},
        "/stats": {"get": _get("Stats", "Counters since the start", "stats")},
        "/metrics": {"get": _text("text/plain", "Metrics for Prometheus", "metrics")},
        "/openapi.json": {"get": _get("Document", "This document", "openapi")},
        "/docs": {"get": _text("text/html", "This document as a page", "docs")},
    }


PREDICT, INFERENCE, WATCH = "Predict", "Open Inference Protocol", "Watch"


def _invocations(about: About) -> Schema:
    rows = about.golden["rows"][:EXAMPLE_ROWS]
    examples = {name: {"value": value} for name, value in forms(rows, about.contract).items()}
    content = {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Invocation"},
            "examples": examples,
        },
        "text/csv": {
            "schema": {"type": "string", "description": "A header and a line a row, in UTF-8."},
            "example": csv_text(rows),
        },
    }
    answer = _answer("Predictions", "A prediction for each row.", prediction_answer(about.golden))
    return {
        **_operation("Predict rows", "invocations", PREDICT, ("RequestId", "RequestKey", "Probe")),
        "description": f"Any of four JSON forms, or CSV. {about.limits()}",
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answer, **_refusals(400, 408, 413, 415, 422, 500)},
    }


def _model_paths(
    about: About, path: str, parameters: tuple[str, ...], suffix: str
) -> dict[str, Any]:
    absent = _refusals(404, 500, schema="InferenceError")
    metadata = _operation("What the model takes and gives", f"model{suffix}", INFERENCE, parameters)
    metadata["responses"] = {"200": _answer("ModelMetadata", "Its inputs and outputs."), **absent}
    ready = _operation("Whether it predicts rightly", f"modelReady{suffix}", INFERENCE, parameters)
    ready["responses"] = {
        "200": _answer("ModelReady", "It does."),
        "503": _answer("ModelReady", "Its predictions are not those of training."),
        **absent,
    }
    return {
        path: {"get": metadata},
        f"{path}/ready": {"get": ready},
        f"{path}/infer": {"post": _infer(about, parameters, suffix)},
    }


def _infer(about: About, parameters: tuple[str, ...], suffix: str) -> Schema:
    content = {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/InferenceRequest"},
            "example": inference(about.golden["rows"][:EXAMPLE_ROWS], about.contract),
        }
    }
    outcome = inference_outcome(about.golden, about.model, about.version, about.classes)
    parameters = (*parameters, "RequestId", "RequestKey", "Probe")
    operation = _operation("Predict rows", f"infer{suffix}", INFERENCE, parameters)
    return {
        **operation,
        "description": (
            "A tensor for each column: shape [n] or [n, 1], data flat or nested, null for a "
            f"missing value. Binary data is refused. {about.limits()}"
        ),
        "requestBody": {"required": True, "content": content},
        "responses": {
            "200": _answer("Inference", "The outputs asked for.", outcome),
            **_refusals(400, 404, 408, 413, 415, 422, 500, schema="InferenceError"),
        },
    }


def _get(schema: str, summary: str, identity: str, tag: str = WATCH) -> Schema:
    refusal = "InferenceError" if tag == INFERENCE else "Refusal"
    responses = {"200": _answer(schema, f"{summary}."), **_refusals(500, schema=refusal)}
    return {**_operation(summary, identity, tag, ("RequestId",)), "responses": responses}


def _ready(schema: str, summary: str, identity: str) -> Schema:
    operation = _get(schema, summary, identity, INFERENCE)
    operation["responses"]["503"] = _answer(schema, "Its predictions are not those of training.")
    return operation


def _health() -> Schema:
    operation = _get("Health", "Whether it predicts rightly, and how the log fares", "health")
    operation["responses"]["503"] = _answer("Health", "Its predictions are not those of training.")
    return operation


def _text(kind: str, summary: str, identity: str) -> Schema:
    answer = {
        "description": f"{summary}.",
        "headers": _header_refs(),
        "content": {kind: {"schema": {"type": "string"}}},
    }
    operation = _operation(summary, identity, WATCH, ("RequestId",))
    return {**operation, "responses": {"200": answer, **_refusals(500)}}


def _operation(summary: str, identity: str, tag: str, parameters: Sequence[str]) -> Schema:
    listed = [{"$ref": f"#/components/parameters/{name}"} for name in parameters]
    return {"summary": summary, "operationId": identity, "tags": [tag], "parameters": listed}


def _answer(schema: str, description: str, example: Any = None) -> Schema:
    content: Schema = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        content["example"] = example
    return {
        "description": description,
        "headers": _header_refs(),
        "content": {"application/json": content},
    }


def _refusals(*statuses: int, schema: str = "Refusal") -> Schema:
    return {str(status): _answer(schema, _REFUSALS[status]) for status in statuses}


def _header_refs() -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
