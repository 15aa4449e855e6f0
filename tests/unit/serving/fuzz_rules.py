"""What the fuzzer checks beyond its own checks: what the document allows is answered with a 200.

JSON Schema cannot say that columns are of one length, or that data fits its shape. So a body that
the schema allows is read here into the rows it means: it must be answered if there are such rows
and they keep the schema of rows, and refused with a 422 if not.
"""

from typing import Any

import jsonschema
import schemathesis

#: Bodies beyond the service's limit are refused whatever they hold.
MAX_BYTES = 65_536
JSON = "application/json"
#: The key of both models.
KEY = "ride"


@schemathesis.serializer("text/csv")
def as_csv(_: Any, value: Any) -> dict[str, Any]:
    return {"data": value if isinstance(value, bytes) else str(value).encode(errors="replace")}


def records_of(body: dict[str, Any], names: list[str]) -> list[dict[str, Any]] | None:
    """The rows that a body means, None if it means none."""
    if "dataframe_split" in body:
        split = body["dataframe_split"]
        return _records(split["columns"], split["data"])
    content = next(body[form] for form in FORMS if form in body)
    if isinstance(content, dict):
        columns = content if isinstance(next(iter(content.values()), None), list) else None
        return [content] if columns is None else _transposed(columns)
    return _records(names, content) if isinstance(content[0], list) else content


FORMS = ("dataframe_records", "instances", "inputs")
SPANS = {f"INT{n}": (-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (8, 16, 32, 64)}
SPANS |= {f"UINT{n}": (0, 2**n - 1) for n in (8, 16, 32, 64)}


def _records(names: list[str], rows: list[list[Any]]) -> list[dict[str, Any]] | None:
    if any(len(row) != len(names) for row in rows):
        return None
    return [dict(zip(names, row, strict=True)) for row in rows]


def _transposed(columns: dict[str, list[Any]]) -> list[dict[str, Any]] | None:
    if len({len(values) for values in columns.values()}) != 1:
        return None
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def tensor_records(body: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The rows that an inference means, None if a shape, a datatype or a name is not kept."""
    columns: dict[str, list[Any]] = {}
    outputs = [output["name"] for output in body.get("outputs") or ()]
    if len(set(outputs)) < len(outputs):
        return None
    for one in body["inputs"]:
        data = one["data"]
        if len(one["shape"]) == 2:
            data = [v[0] if isinstance(v, list) else v for v in data]
        nested = {isinstance(v, list) for v in one["data"]}
        if len(nested) > 1 or (True in nested and len(one["shape"]) == 1):
            return None
        if one["name"] in columns or one["shape"][0] != len(data) or type(one["shape"][0]) is float:
            return None
        if not all(_fits(value, one["datatype"]) for value in data):
            return None
        columns[one["name"]] = data
    return _transposed(columns)


def _fits(value: Any, datatype: str) -> bool:
    if value is None or datatype.startswith("FP"):
        return True
    if datatype in SPANS:
        least, most = SPANS[datatype]
        return not isinstance(value, str) and value == int(value) and least <= value <= most
    return isinstance(value, bool if datatype == "BOOL" else str)


def is_meant(case: Any) -> bool:
    """Whether a body that the document allows also keeps the rules it only describes."""
    document = case.operation.schema.raw_schema
    schemas = document["components"]["schemas"]
    rows = schemas["Row"]
    if "inputs" in case.body and isinstance(case.body["inputs"], list) and "/v2/" in case.path:
        records = tensor_records(case.body)
    else:
        records = records_of(case.body, rows["required"])
    if not records:
        return False
    # To JSON Schema 7.0 is a whole number; as a key it would be another text than 7.
    if any(isinstance(record.get(KEY), float) for record in records):
        return False
    validator = jsonschema.Draft202012Validator(schemas["Records"])
    return bool(validator.is_valid(records))


@schemathesis.check
def what_is_allowed_is_answered(_: Any, response: Any, case: Any) -> None:
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or case.media_type != JSON:
        return
    if len(response.request.body or b"") > MAX_BYTES:
        expected = 413
    else:
        expected = 200 if is_meant(case) else 422
    assert response.status_code == expected, (case.body, response.text)
