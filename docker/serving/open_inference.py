"""The Open Inference Protocol, version 2: what the model is, its requests and its answers.

Pure functions between the protocol's JSON and raw columns or predictions. Data travels as JSON; the
binary extension is not spoken, and whoever asks for binary answers gets JSON, which every client of
the protocol reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from dialect import Columns, Headers
from reading import JSON, header, in_words, media_type, read_json, short
from refusals import FIELDS_SHOWN, Refusal
from tensors import Field, datatypes, parameter_problems, problem, read_tensors, refused, some

#: Of the interface; a model's own version stands in its metadata.
SERVER = {"name": "evergreen", "version": "1", "extensions": ()}
LONGEST_ID = 1024
REQUEST_KEYS = ("id", "parameters", "inputs", "outputs")
#: They choose between binary and JSON answers: taken, and answered in JSON.
REQUEST_FLAGS, OUTPUT_FLAGS = ("binary_data_output",), ("binary_data",)
_PLATFORMS = {"estimator.onnx": "onnxruntime_onnx", "estimator.skops": "sklearn_skops"}


@dataclass(frozen=True)
class Inference:
    """One request: raw columns, the outputs asked for in their order, the client's id if any."""

    columns: Columns
    outputs: tuple[str, ...]
    id: str | None


def is_ours(path: str) -> bool:
    """Whether a path belongs to this protocol, so that its errors take the protocol's form."""
    return path == "/v2" or path.startswith("/v2/")


def error_body(message: str, fields: Sequence[Field] = ()) -> dict[str, Any]:
    """The protocol's error, with the first ten fields that are wrong and how many there are."""
    body: dict[str, Any] = {"error": message}
    if fields:
        body |= {"fields": list(fields[:FIELDS_SHOWN]), "field_count": len(fields)}
    return body


def check_address(name: str, version: str | None, *, served_name: str, served_version: str) -> None:
    """Raise a 404 unless this model, and this version if one is named, is the one served."""
    if name != served_name:
        raise Refusal(404, f"Model {short(name)!r} is not served here; {served_name!r} is.")
    if version is not None and version != served_version:
        raise Refusal(
            404,
            f"Version {short(version)!r} of {served_name!r} is not served here; "
            f"{served_version!r} is.",
        )


def check_headers(headers: Headers) -> None:
    """Raise a 415 unless the body is JSON; clients of this protocol may leave its type out."""
    if b"inference-header-content-length" in headers:
        raise Refusal(
            415, "Binary tensors are not understood: send data as JSON (binary_data=False)."
        )
    declared, encoding = header(headers, b"content-type"), header(headers, b"content-encoding")
    media_type(declared or JSON, encoding, (JSON,))


def output_datatypes(classes: Sequence[Any] | None) -> dict[str, str]:
    """Datatype by output; `classes` is None for a regression."""
    if classes is None:
        return {"prediction": "FP64"}
    kinds = {bool: "BOOL", int: "INT64", float: "FP64"}
    shares = {f"probability_{label}": "FP64" for label in classes}
    return {"prediction": kinds.get(type(classes[0]), "BYTES"), **shares}


def model_metadata(
    *,
    name: str,
    version: str,
    contract: Mapping[str, Any],
    classes: Sequence[Any] | None,
    estimator: str,
) -> dict[str, Any]:
    """Name, version, platform, an input for each column and an output for each prediction."""
    columns = [(column, spec, False) for column, spec in contract["columns"].items()]
    columns += [(column, spec, True) for column, spec in contract["optional"].items()]
    outputs = output_datatypes(classes)
    return {
        "name": name,
        "versions": [version],
        "platform": _PLATFORMS.get(estimator, estimator),
        "inputs": [
            {
                "name": column,
                "datatype": datatypes(spec)[0],
                "shape": [-1],
                "parameters": {"optional": optional, "nullable": is_nullable(spec)},
            }
            for column, spec, optional in columns
        ],
        "outputs": [
            {"name": output, "datatype": datatype, "shape": [-1]}
            for output, datatype in outputs.items()
        ],
    }


def is_nullable(column: Mapping[str, Any]) -> bool:
    """Whether a missing value is taken."""
    return bool(column.get("nullable")) or column.get("unseen") == "as_missing"


def read_inference(
    body: bytes, contract: Mapping[str, Any], classes: Sequence[Any] | None, max_rows: int
) -> Inference:
    """A request's raw columns, all of one length from 1 to `max_rows`, and what it asks for.

    Raises:
        Refusal: 400 for what is no JSON, 413 for too many rows, 422 with every field that is wrong.
    """
    document = read_json(body)
    if not isinstance(document, dict):
        allowed = f"an object of {some(REQUEST_KEYS)}"
        raise refused([problem("(body)", in_words(document), allowed)])
    problems = [
        problem(name, "a key no request has", f"only {some(REQUEST_KEYS)}")
        for name in document
        if name not in REQUEST_KEYS
    ]
    identity = document.get("id")
    if identity is not None and not (isinstance(identity, str) and len(identity) <= LONGEST_ID):
        seen = in_words(identity) if not isinstance(identity, str) else f"{len(identity):,} letters"
        problems.append(problem("id", seen, f"a text of at most {LONGEST_ID:,} letters"))
    problems += parameter_problems(document.get("parameters"), REQUEST_FLAGS)
    known = tuple(output_datatypes(classes))
    outputs, odd = _outputs(document.get("outputs"), known)
    problems += odd
    if problems:
        raise refused(problems)
    columns = read_tensors(document.get("inputs"), contract, max_rows)
    return Inference(columns, outputs or known, identity)


def _outputs(wanted: Any, known: Sequence[str]) -> tuple[tuple[str, ...], list[Field]]:
    """The names of the outputs asked for, none for all of them; and what is wrong with them."""
    if wanted is None:
        return (), []
    if not isinstance(wanted, list):
        return (), [problem("outputs", in_words(wanted), "a list of objects with a name")]
    names: dict[str, None] = {}
    problems: list[Field] = []
    for index, output in enumerate(wanted):
        where = f"outputs[{index}]"
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(output, dict) or not output.keys() <= {"name", "parameters"}:
            seen = some(map(short, output)) if isinstance(output, dict) else in_words(output)
            problems.append(problem(where, seen, "an object of name and parameters"))
        elif not isinstance(name, str) or name not in known:
            seen = repr(short(name)) if isinstance(name, str) else in_words(name)
            problems.append(problem(f"{where}.name", seen, f"one of {some(known)}"))
        elif name in names:
            problems.append(problem(f"{where}.name", f"{name!r} a second time", "each one once"))
        else:
            names[name] = None
            problems += parameter_problems(output.get("parameters"), OUTPUT_FLAGS, where)
    return tuple(names), problems


def write_inference(
    request: Inference,
    predictions: Mapping[str, list[Any]],
    *,
    name: str,
    version: str,
    classes: Sequence[Any] | None,
) -> bytes:
    """The answer: the outputs asked for, each of shape [n_rows], and the request's own id."""
    kinds = output_datatypes(classes)
    answer: dict[str, Any] = {"model_name": name, "model_version": version}
    if request.id is not None:
        answer["id"] = request.id
    answer["outputs"] = [
        {
            "name": output,
            "datatype": kinds[output],
            "shape": [len(predictions[output])],
            "data": predictions[output],
        }
        for output in request.outputs
    ]
    return orjson.dumps(answer)
