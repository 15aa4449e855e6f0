"""JSON Schemas of a contract: its columns, its rows, and requests made of them.

A schema takes what the service takes. What JSON Schema cannot say (columns of one length, a tensor
whose data fits its shape, every row with the same fields) stands in the descriptions.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from open_inference import LONGEST_ID, OUTPUT_FLAGS, REQUEST_FLAGS, output_datatypes
from tensors import REALS, WHOLES, datatypes, is_whole_category, takes_matrix

Schema = dict[str, Any]
#: As the contract's code has them; a test sends what lies at and beyond each.
LONGEST_TEXT = 4096
LARGEST = 3.4028234663852886e38
_LEAST_KEY, _MOST_KEY = -(2**63), 2**64 - 1

_DAYS = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP = "(?:(?:19|20|21)(?:0[48]|[2468][048]|[13579][26])|2000)"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_ZONE = "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
#: A day that exists, from 1900 to 2199, and a time of it if there is one.
TIME_PATTERN = f"^(?:(?:19|20|21)[0-9]{{2}}-{_DAYS}|{_LEAP}-02-29)(?:[T ]{_CLOCK}{_ZONE})?$"


def column_schema(column: Mapping[str, Any], time_zone: str) -> Schema:
    """One value of a column, as it stands in JSON."""
    kind, nullable = column["type"], bool(column.get("nullable"))
    if kind == "category":
        return _category(column)
    kinds: dict[str, Schema] = {
        "float": {"type": "number"},
        "integer": {"type": "integer"},
        "boolean": {"enum": [True, False, 1, 0]},
        "timestamp": {"type": "string", "pattern": TIME_PATTERN},
        "key": {"type": ["string", "integer"], "maxLength": LONGEST_TEXT},
    }
    schema = kinds[kind]
    if kind in ("float", "integer"):
        schema["minimum"] = _plain(column.get("min"), -LARGEST)
        schema["maximum"] = _plain(column.get("max"), LARGEST)
    if kind == "key":
        schema |= {"minimum": _LEAST_KEY, "maximum": _MOST_KEY}
    if nullable:
        schema = _or_null(schema)
    return {**schema, "description": describe(column, time_zone)}


def describe(column: Mapping[str, Any], time_zone: str) -> str:
    """What a column may hold, for people."""
    kind = column["type"]
    if kind == "category":
        what = _describe_category(column)
    elif kind in ("float", "integer"):
        what = "A whole number" if kind == "integer" else "A finite number"
        what += _describe_bounds(column.get("min"), column.get("max"))
    else:
        what = {
            "boolean": "True or false, or 1 or 0",
            "timestamp": f"An ISO 8601 time, 1900 to 2199, in {time_zone} if it names no zone",
            "key": "A text, or a whole number without a point, that the prediction is kept under",
        }[kind]
    return what + (", or null if it is missing." if column.get("nullable") else ".")


def _describe_bounds(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {_plain(low, 0)} to {_plain(high, 0)}"
    if low is not None:
        return f" of at least {_plain(low, 0)}"
    return "" if high is None else f" of at most {_plain(high, 0)}"


def _describe_category(column: Mapping[str, Any]) -> str:
    values = column.get("values")
    if values is None:
        return f"A text of at most {LONGEST_TEXT:,} letters"
    listed = ", ".join(map(str, values[:20])) + (", ..." if len(values) > 20 else "")  # noqa: PLR2004
    unseen = "; any other value or null is taken as missing"
    return f"One of {listed}" + (unseen if column.get("unseen") == "as_missing" else "")


def _category(column: Mapping[str, Any]) -> Schema:
    values, nullable = column.get("values"), bool(column.get("nullable"))
    description = describe(column, "")
    if values is None:
        text: Schema = {"type": "string", "maxLength": LONGEST_TEXT}
        return {**(_or_null(text) if nullable else text), "description": description}
    if column.get("unseen") == "as_missing":
        kinds = ["string", "number", "null"]
        return {"type": kinds, "examples": list(values[:20]), "description": description}
    return {"enum": [*values, *([None] if nullable else [])], "description": description}


def _or_null(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    kinds = schema["type"]
    return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}


def _plain(value: float | None, default: float) -> float:
    """A bound as JSON writes it best: 50, not 50.0."""
    value = default if value is None else value
    return int(value) if value == int(value) and abs(value) < 2**53 else value


class ContractSchemas:
    """The schemas of one contract; `max_rows` is the service's limit."""

    def __init__(self, contract: Mapping[str, Any], max_rows: int) -> None:
        zone = str(contract.get("time_zone"))
        self._contract = contract
        self._required = {n: column_schema(c, zone) for n, c in contract["columns"].items()}
        self._optional = {n: column_schema(c, zone) for n, c in contract["optional"].items()}
        self._all = {**self._required, **self._optional}
        self._rows = {"type": "array", "minItems": 1, "maxItems": max_rows}

    def row(self) -> Schema:
        """An object with every column, and each optional one or not."""
        return _closed(self._all, self._required)

    def records(self) -> Schema:
        """Rows of the same fields each: one alternative for each choice of optional columns."""
        names = list(self._optional)
        choices = [c for n in range(len(names) + 1) for c in itertools.combinations(names, n)]
        rows = [
            {**self._rows, "items": _closed(columns, columns)}
            for choice in choices
            for columns in [self._required | {name: self._optional[name] for name in choice}]
        ]
        return rows[0] if len(rows) == 1 else {"anyOf": rows}

    def lists(self) -> Schema:
        """Rows as lists of values, in the order of the contract."""
        row = {
            "type": "array",
            "prefixItems": list(self._required.values()),
            "minItems": len(self._required),
            "maxItems": len(self._required),
        }
        return {**self._rows, "items": row}

    def split(self) -> Schema:
        """Column names in any order, and rows of values in that order."""
        names = {"type": "array", "items": {"enum": list(self._all)}, "uniqueItems": True}
        size = {"minItems": len(self._required), "maxItems": len(self._all)}
        row = {"type": "array", "items": {"anyOf": _distinct(self._all.values())}, **size}
        parts: dict[str, Schema] = {
            "columns": {**names, **size},
            "data": {**self._rows, "items": row},
            "index": {"description": "Ignored."},
        }
        return _closed(parts, ("columns", "data"))

    def by_column(self) -> Schema:
        """A list of values for each column, all of one length."""
        lists = {name: {**self._rows, "items": value} for name, value in self._all.items()}
        return _closed(lists, self._required)

    def invocation(self) -> Schema:
        """A body of `/invocations`: one of the four forms of MLflow's protocol."""
        forms: dict[str, Schema] = {
            "dataframe_split": {"$ref": "#/components/schemas/Split"},
            "dataframe_records": {"$ref": "#/components/schemas/Records"},
            "instances": {"anyOf": _refs("Records", "Lists")},
            "inputs": {"anyOf": _refs("Row", "ByColumn", "Records", "Lists")},
        }
        params: Schema = {"enum": [None, {}], "description": "The model has no parameters."}
        return {"oneOf": [_closed({f: s, "params": params}, [f]) for f, s in forms.items()]}

    def tensors(self) -> Schema:
        """The inputs of an inference: a tensor for each column, or one for all."""
        every = {**self._contract["columns"], **self._contract["optional"]}
        each = [self._tensor(name, datatypes(column)) for name, column in every.items()]
        columns: Schema = {
            "type": "array",
            "items": {"oneOf": each},
            "minItems": len(self._required),
            "maxItems": len(every),
            "description": "A tensor for each column, in any order, all of one length.",
        }
        if not takes_matrix(self._contract):
            return columns
        matrix = _tensor(
            {"type": "string", "not": {"enum": list(every)}},
            (*REALS, *WHOLES),
            {"prefixItems": [_size(self._rows), {"const": len(self._required)}], **_pair()},
            {"anyOf": [self.lists(), {"type": "array", "items": {"type": ["number", "null"]}}]},
        )
        about = "One tensor of all columns, in the order of the contract."
        one = {"type": "array", "items": matrix, "minItems": 1, "maxItems": 1, "description": about}
        return {"anyOf": [columns, one]}

    def _tensor(self, name: str, kinds: Sequence[str]) -> Schema:
        value = _as_sent(self._contract, name, self._all[name])
        one = {"type": "array", "prefixItems": [value], "minItems": 1, "maxItems": 1}
        shape = {"prefixItems": [_size(self._rows), {"const": 1}], **_pair(), "minItems": 1}
        data = {"anyOf": [{**self._rows, "items": value}, {**self._rows, "items": one}]}
        return _tensor({"const": name}, kinds, shape, data)


def _as_sent(contract: Mapping[str, Any], name: str, value: Schema) -> Schema:
    """A column's value in a tensor, where its datatype narrows it further."""
    column = {**contract["columns"], **contract["optional"]}[name]
    if column["type"] == "boolean":
        return {**value, "enum": [v for v in value["enum"] if v is None or type(v) is bool]}
    if column["type"] == "category" and column.get("unseen") == "as_missing":
        kind = "integer" if is_whole_category(column) else "string"
        return {**value, "type": [kind, "null"]}
    return value


def inference_request(inputs: Schema, classes: Sequence[Any] | None) -> Schema:
    """A body of `/infer`."""
    names = list(output_datatypes(classes))
    output = _closed({"name": {"enum": names}, "parameters": _flags(OUTPUT_FLAGS)}, ["name"])
    wanted = {
        "type": ["array", "null"],
        "items": output,
        "maxItems": len(names),
        "description": "Which outputs to answer with, each once; all of them if left out or empty.",
    }
    identity = {
        "type": ["string", "null"],
        "maxLength": LONGEST_ID,
        "description": "Comes back in the answer.",
    }
    parts = {
        "id": identity,
        "parameters": _flags(REQUEST_FLAGS),
        "inputs": inputs,
        "outputs": wanted,
    }
    return _closed(parts, ["inputs"])


def _flags(names: Sequence[str]) -> Schema:
    about = "Taken, and answered in JSON in any case."
    flags: Schema = {name: {"type": "boolean", "description": about} for name in names}
    return {"type": ["object", "null"], "properties": flags, "additionalProperties": False}


def _tensor(name: Schema, kinds: Sequence[str], shape: Schema, data: Schema) -> Schema:
    nothing = {"type": ["object", "null"], "maxProperties": 0, "description": "None is understood."}
    parts = {
        "name": name,
        "shape": {"type": "array", **shape},
        "datatype": {"enum": list(kinds)},
        "data": data,
        "parameters": nothing,
    }
    return _closed(parts, ("name", "shape", "datatype", "data"))


def _pair() -> Schema:
    return {"minItems": 2, "maxItems": 2}


def _size(rows: Schema) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": rows["maxItems"]}


def _closed(properties: Mapping[str, Schema], required: Any) -> Schema:
    """An object of these properties and no other."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _refs(*names: str) -> list[Schema]:
    return [{"$ref": f"#/components/schemas/{name}"} for name in names]


def _distinct(schemas: Any) -> list[Schema]:
    found: list[Schema] = []
    for schema in schemas:
        if schema not in found:
            found.append(schema)
    return found
