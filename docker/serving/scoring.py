"""MLflow's scoring protocol: bodies into raw rows or columns, predictions into answers. No pandas.

`dataframe_split`, `dataframe_records`, `instances` and `inputs` as JSON, or CSV with a header.
What is no JSON at all is a 400; JSON of the wrong shape is a 422 that says what was expected.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NoReturn

import orjson
from dialect import Asked, Columns, Headers
from reading import CSV, JSON, header, in_words, media_type, read_json, short, too_many
from refusals import FIELDS_SHOWN, Refusal, refusal_body

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_JSON = JSON.encode()
_LISTS = {"dataframe_records", "instances"}
_SPLIT = {"columns", "data"}
#: A longer text is no number.
_LONGEST_NUMBER = 60


class Scoring:
    """The dialect of `/invocations`, for one contract."""

    kind = "invocations"

    def __init__(self, contract: Mapping[str, Any], max_rows: int) -> None:
        self._contract = contract
        self._max_rows = max_rows

    def media(self, headers: Headers) -> str:
        """`application/json` or `text/csv`; a 415 for another type, charset or compression."""
        if headers.get(b"content-type") == _JSON and b"content-encoding" not in headers:
            return JSON
        return media_type(header(headers, b"content-type"), header(headers, b"content-encoding"))

    def read(self, body: bytes, media: str) -> Asked:
        """What is asked; a 400 for what cannot be read."""
        if media == CSV:
            return Asked(None, _read_csv(body, self._contract))
        document = read_json(body)
        return Asked(single_row(document), document)

    def columns(self, asked: Asked) -> Columns:
        """The raw columns, all of one length from 1 to `max_rows`.

        Raises:
            Refusal: 413 for too many rows, 422 for the wrong shape.
        """
        if isinstance(asked.document, CsvColumns):
            return _bounded(asked.document.columns, self._max_rows)
        return _bounded(_columns_of(asked.document, self._contract, self._max_rows), self._max_rows)

    def write(self, _: Asked, predictions: Mapping[str, Any]) -> bytes:
        """`{"predictions": [...]}`: numbers for a regression, else one record a row."""
        return write_answer(predictions)

    def write_one(self, _: Asked, prediction: Mapping[str, Any]) -> bytes:
        """The same of one row's values."""
        if len(prediction) == 1:
            return orjson.dumps({"predictions": [prediction["prediction"]]})
        return orjson.dumps({"predictions": [prediction]})

    def refuse(self, status: int, message: str, fields: Sequence[dict[str, Any]] = ()) -> bytes:
        return orjson.dumps(refusal_body(status, message, fields))


@dataclass(frozen=True)
class CsvColumns:
    """A CSV body's columns, as the JSON values they stand for."""

    columns: Columns


def single_row(document: Any) -> dict[str, Any] | None:
    """The row of a request that plainly holds one; None for many rows, or where one must look."""
    if type(document) is not dict or len(document) != 1:
        return None
    ((form, content),) = document.items()
    if type(content) is list:
        first = content[0] if len(content) == 1 and form in _LISTS else None
        return first if type(first) is dict else None
    if type(content) is not dict:
        return None
    if form == "inputs":
        return content
    if form == "dataframe_split" and content.keys() == _SPLIT:
        return _row_of_split(content["columns"], content["data"])
    return None


def _row_of_split(names: Any, rows: Any) -> dict[str, Any] | None:
    if type(names) is not list or type(rows) is not list or len(rows) != 1:
        return None
    values = rows[0]
    if type(values) is not list or len(values) != len(names):
        return None
    if not all(type(name) is str for name in names):
        return None
    row = dict(zip(names, values, strict=True))
    return row if len(row) == len(names) else None


def _bounded(columns: Columns, max_rows: int) -> Columns:
    n_rows = max(map(len, columns.values()), default=0)
    if n_rows > max_rows:
        raise too_many(n_rows, max_rows)
    if n_rows == 0:
        raise Refusal(422, "The request holds no rows. Send at least one.")
    return columns


def write_answer(predictions: Mapping[str, Any]) -> bytes:
    """`{"predictions": [...]}`: numbers for a regression, one record a row for a classification."""
    if len(predictions) == 1:
        return orjson.dumps(
            {"predictions": predictions["prediction"]}, option=orjson.OPT_SERIALIZE_NUMPY
        )
    rows = zip(*(values.tolist() for values in predictions.values()), strict=True)
    names = tuple(predictions)
    return orjson.dumps({"predictions": [dict(zip(names, row, strict=True)) for row in rows]})


def _columns_of(document: Any, contract: Mapping[str, Any], max_rows: int) -> Columns:
    if not isinstance(document, dict):
        raise _wrong_shape(f"{in_words(document)} at the top")
    forms = [form for form in FORMS if form in document]
    others = [name for name in document if name not in FORMS]
    if others == ["params"] and document["params"] in (None, {}):
        others = []
    if len(forms) != 1 or others:
        seen = ", ".join(repr(short(name)) for name in list(document)[:10]) or "an empty object"
        raise _wrong_shape(seen)
    content = document[forms[0]]
    if isinstance(content, list) and len(content) > max_rows:
        raise too_many(len(content), max_rows)
    return _FORMS[forms[0]](content, contract)


def _split(content: Any, _: Mapping[str, Any]) -> Columns:
    if not isinstance(content, dict) or not {"columns", "data"} <= content.keys():
        raise _wrong_shape("dataframe_split without its 'columns' and 'data'")
    if not content.keys() <= {"columns", "data", "index"}:
        raise _wrong_shape("dataframe_split with more than 'columns', 'data' and 'index'")
    return _positional(content["columns"], content["data"], "dataframe_split")


def _positional(names: Any, rows: Any, form: str) -> Columns:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _wrong_shape(f"{form} whose column names are no list of texts")
    if len(set(names)) < len(names):
        double = sorted(name for name, times in Counter(names).items() if times > 1)
        raise _wrong_shape(f"{form} that names columns twice: {', '.join(map(short, double[:10]))}")
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise _wrong_shape(f"{form} whose rows are no list of lists")
    for index, row in enumerate(rows):
        if len(row) != len(names):
            raise _wrong_shape(
                f"{form} with {len(row)} values in row {index} for {len(names)} columns"
            )
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}


def _records(content: Any, contract: Mapping[str, Any]) -> Columns:
    if not isinstance(content, list):
        raise _wrong_shape(f"{in_words(content)} where a list of rows belongs")
    if content and all(isinstance(row, list) for row in content):
        return _positional(list(contract["columns"]), content, "a list of lists")
    if not all(isinstance(row, dict) for row in content):
        odd = next(row for row in content if not isinstance(row, dict))
        raise _wrong_shape(f"{in_words(odd)} among the rows")
    if len(set(map(len, content))) > 1:
        _refuse_ragged(content)
    names = tuple(content[0]) if content else ()
    if not names:
        return {}
    try:
        rows = list(map(itemgetter(*names), content))
    except KeyError:
        _refuse_ragged(content)
    columns = [rows] if len(names) == 1 else zip(*rows, strict=True)
    return dict(zip(names, columns, strict=True))


def _refuse_ragged(rows: Sequence[Mapping[str, Any]]) -> NoReturn:
    allowed = "the same fields in every row, null where a value is missing"
    times = Counter(name for row in rows for name in row)
    lacking = {name: len(rows) - n for name, n in times.items() if n < len(rows)}
    fields: list[dict[str, Any]] = [
        {
            "field": short(name),
            "seen": f"nothing in {n} of {len(rows)} rows",
            "allowed": allowed,
            "rows": n,
        }
        for name, n in lacking.items()
    ]
    for field, name in zip(fields[:FIELDS_SHOWN], lacking, strict=False):
        field["row"] = next(index for index, row in enumerate(rows) if name not in row)
    names = ", ".join(str(field["field"]) for field in fields[:FIELDS_SHOWN])
    raise Refusal(422, f"{len(fields)} fields are not in every row: {names}.", fields)


def _inputs(content: Any, contract: Mapping[str, Any]) -> Columns:
    if not isinstance(content, dict):
        return _records(content, contract)
    if not any(isinstance(value, list) for value in content.values()):
        return {name: [value] for name, value in content.items()}
    for name, value in content.items():
        if not isinstance(value, list):
            raise _wrong_shape(f"{in_words(value)} in 'inputs' for {short(name)!r} beside lists")
    return dict(content)


_FORMS: dict[str, Callable[[Any, Mapping[str, Any]], Columns]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _records,
    "inputs": _inputs,
}


def _read_csv(body: bytes, contract: Mapping[str, Any]) -> CsvColumns:
    try:
        text = body.decode("utf-8-sig")
        names, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except UnicodeDecodeError as error:
        raise Refusal(400, f"The body is not UTF-8 text (byte {error.start}).") from None
    except csv.Error as error:
        raise Refusal(400, f"The body is no CSV: {error}.") from None
    except ValueError:
        raise Refusal(422, "The CSV is empty: it needs a header and at least one row.") from None
    columns = _positional(names, [row for row in rows if row], "CSV")
    known = {**contract["optional"], **contract["columns"]}
    return CsvColumns({name: _typed(values, known.get(name)) for name, values in columns.items()})


def _typed(values: Sequence[str], column: Mapping[str, Any] | None) -> Sequence[Any]:
    """CSV texts as the JSON values they stand for; what does not fit stays text, and is refused."""
    if column is None:
        return values
    kind = column["type"]
    whole = kind == "category" and column["values"] and isinstance(column["values"][0], int)
    if kind in ("float", "integer") or whole:
        return [_number(value) for value in values]
    if kind == "boolean":
        return [_BOOLEANS.get(value.strip().lower(), value) for value in values]
    return [value or None for value in values]


_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "": None}


def _number(text: str) -> Any:
    if not text.strip():
        return None
    try:
        value = float(text) if "_" not in text and len(text) <= _LONGEST_NUMBER else text
    except ValueError:
        return text
    return value


def _wrong_shape(seen: str) -> Refusal:
    return Refusal(
        422,
        f"Seen: {seen}. A request is an object with exactly one of {', '.join(FORMS)}, such as "
        '{"dataframe_records": [{"column": value, ...}]}.',
    )
