"""What both protocols read a body with: its type, its JSON, and words for what was seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson
from dialect import Headers
from refusals import Refusal

JSON, CSV = "application/json", "text/csv"
_SHOWN = 60


def header(headers: Headers, name: bytes) -> str | None:
    """A header's text, None where it was not sent."""
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")


def media_type(
    header: str | None, encoding: str | None, allowed: Sequence[str] = (JSON, CSV)
) -> str:
    """One of those allowed; a 415 for anything else, another charset or compression."""
    kind, *parameters = [part.strip().lower() for part in (header or "").split(";")]
    if kind not in allowed or any(p not in ("", "charset=utf-8") for p in parameters):
        seen = repr(short(header)) if header else "none"
        raise Refusal(
            415, f"Content-Type is {seen}; {' or '.join(allowed)} in UTF-8 is understood."
        )
    if encoding not in (None, "", "identity"):
        raise Refusal(415, f"Content-Encoding is {short(encoding)!r}; send the body as it is.")
    return kind


def read_json(body: bytes) -> Any:
    """The JSON of a body, also where it holds NaN, so that the field that does can be named.

    Raises:
        Refusal: 400, it is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        refusal = Refusal(400, f"The body is no JSON: {error}.")
    # NaN, Infinity and 1e400 are no JSON either, but the field that holds one can be named.
    odd: list[str] = []

    def number(text: str) -> float:
        value = float(text)
        if value - value != 0:
            odd.append(text)
        return value

    try:
        document = json.loads(body, parse_float=number, parse_constant=number)
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise refusal from None
    if not odd:
        raise refusal
    return document


def too_many(n_rows: int, max_rows: int) -> Refusal:
    return Refusal(413, f"The request holds {n_rows:,} rows; at most {max_rows:,} are taken.")


def in_words(value: Any) -> str:
    """What a JSON value is."""
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "true or false"}
    return kinds.get(type(value), "null" if value is None else "a number")


def short(text: str | None) -> str:
    """A client's text, cut to what a message has room for."""
    text = text or ""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
