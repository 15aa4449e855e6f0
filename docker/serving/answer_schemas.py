"""JSON Schemas of what the service answers: predictions, refusals, health and the like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from open_inference import output_datatypes
from refusals import CODES, FIELDS_SHOWN

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_VALUES: dict[str, Schema] = {
    "FP64": {"type": "number"},
    "INT64": {"type": "integer"},
    "BOOL": {"type": "boolean"},
    "BYTES": {"type": "string"},
}


def _object(properties: Mapping[str, Schema], optional: Sequence[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _output_values(classes: Sequence[Any] | None) -> dict[str, Schema]:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    values = {
        name: share if name.startswith("probability_") else _VALUES[kind]
        for name, kind in output_datatypes(classes).items()
    }
    if classes is not None:
        values["prediction"] = {"enum": list(classes)}
    return values


def predictions(classes: Sequence[Any] | None) -> Schema:
    """The answer of `/invocations`: a number a row, or a record of label and probabilities."""
    values = _output_values(classes)
    item = values["prediction"] if classes is None else _object(values)
    return _object({"predictions": {"type": "array", "items": item, "minItems": 1}})


def inference_answer(name: str, version: str, classes: Sequence[Any] | None) -> Schema:
    """The answer of `/infer`."""
    kinds = output_datatypes(classes)
    outputs = [
        _object(
            {
                "name": {"const": output},
                "datatype": {"const": kinds[output]},
                "shape": {"type": "array", "items": _COUNT, "minItems": 1, "maxItems": 1},
                "data": {"type": "array", "items": value, "minItems": 1},
            }
        )
        for output, value in _output_values(classes).items()
    ]
    parts = {
        "model_name": {"const": name},
        "model_version": {"const": version},
        "id": {**_TEXT, "description": "The request's own, if it had one."},
        "outputs": {"type": "array", "items": {"oneOf": outputs}, "minItems": 1},
    }
    return _object(parts, ["id"])


def _field() -> Schema:
    parts: dict[str, Schema] = {
        "field": {**_TEXT, "description": "The column, or the part of the request."},
        "seen": {**_TEXT, "description": "What the request has there."},
        "allowed": {**_TEXT, "description": "What is taken instead."},
        "row": {"type": ["integer", "null"], "description": "The first bad row, from 0."},
        "rows": {**_COUNT, "description": "How many rows are bad."},
    }
    return _object(parts, ["row", "rows"])


_FIELDS: dict[str, Schema] = {
    "fields": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Field"},
        "minItems": 1,
        "maxItems": FIELDS_SHOWN,
        "description": "The first fields that are wrong.",
    },
    "field_count": {"type": "integer", "minimum": 1, "description": "How many there are."},
}
_TENSOR = _object(
    {
        "name": _TEXT,
        "datatype": {"enum": list(_VALUES)},
        "shape": {"const": [-1]},
        "parameters": _object({"optional": {"type": "boolean"}, "nullable": {"type": "boolean"}}),
    },
    ["parameters"],
)
_SPOOL: Schema = {
    "type": ["object", "null"],
    "properties": {"last_error": _TEXT},
    "additionalProperties": _COUNT,
    "description": "What became of the log of predictions; null if none is kept.",
}
_VERSIONS: Schema = {"type": "object", "additionalProperties": _TEXT}
#: Those that are the same for every model, by name.
ANSWERS: dict[str, Schema] = {
    "Field": _field(),
    "Refusal": _object(
        {"error_code": {"enum": sorted(CODES.values())}, "message": _TEXT, **_FIELDS},
        list(_FIELDS),
    ),
    "InferenceError": _object({"error": _TEXT, **_FIELDS}, list(_FIELDS)),
    "ServerMetadata": _object(
        {"name": _TEXT, "version": _TEXT, "extensions": {"type": "array", "items": _TEXT}}
    ),
    "Live": _object({"live": {"type": "boolean"}}),
    "Ready": _object({"ready": {"type": "boolean"}}),
    "ModelReady": _object({"name": _TEXT, "ready": {"type": "boolean"}}),
    "ModelMetadata": _object(
        {
            "name": _TEXT,
            "versions": {"type": "array", "items": _TEXT, "minItems": 1},
            "platform": _TEXT,
            "inputs": {"type": "array", "items": _TENSOR},
            "outputs": {"type": "array", "items": _TENSOR},
        }
    ),
    "Ok": _object({"status": {"const": "ok"}}),
    "Health": _object(
        {
            "status": {"enum": ["ok", "wrong predictions"]},
            "model": _TEXT,
            "version": _TEXT,
            "golden_difference": {"type": ["number", "null"], "minimum": 0},
            "spool": _SPOOL,
        }
    ),
    "Version": _object(
        {
            "model": _TEXT,
            "version": _TEXT,
            "manifest_digest": _TEXT,
            "training_key": _TEXT,
            "libraries": _VERSIONS,
            "fitted_with": _VERSIONS,
            "started_at": {"type": "string", "format": "date-time"},
        }
    ),
    "Contract": {
        "type": "object",
        "properties": {"columns": {"type": "object"}, "optional": {"type": "object"}},
        "required": ["columns", "optional"],
    },
    "Stats": _object(
        {
            "counts": {"type": "object", "additionalProperties": _COUNT},
            "spool": _SPOOL,
            "seconds": {"type": "number"},
        }
    ),
    "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
}
