"""How a request is refused: a status, a message for people, and every field that is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FIELDS_SHOWN = 10
CODES = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "INVALID_PARAMETER_VALUE",
    500: "INTERNAL_ERROR",
    503: "UNAVAILABLE",
}


class Refusal(Exception):
    """A request that is answered with a 4xx, for the client to mend.

    `fields`: dicts of field, seen, allowed, row, rows.
    """

    def __init__(self, status: int, message: str, fields: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.fields = fields


def refusal_body(
    status: int, message: str, fields: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The JSON of a refusal: the first ten fields, and how many there are."""
    body: dict[str, Any] = {"error_code": CODES.get(status, "BAD_REQUEST"), "message": message}
    if fields:
        body["fields"] = list(fields[:FIELDS_SHOWN])
        body["field_count"] = len(fields)
    return body
