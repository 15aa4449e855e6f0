"""Column types that give back exactly what was stored, on SQLite and PostgreSQL alike.

Neither database can hold everything Python can: SQLite forgets time zones, PostgreSQL refuses
NUL in a text and NaN in JSON, and both refuse the lone surrogates that Python makes of a file
name that is not UTF-8.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

_ESCAPED = "escaped:"
_NON_FINITE = "$float"


class Instant(TypeDecorator[dt.datetime]):
    """A moment in UTC, always aware. A naive datetime is refused: its zone would be a guess."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(
                f"The ledger got the time {value.isoformat()} without a zone; pass an aware "
                "datetime, datetime.now(UTC) say."
            )
        return value.astimezone(dt.UTC)

    def process_result_value(
        self, value: dt.datetime | None, dialect: Dialect
    ) -> dt.datetime | None:
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Words(TypeDecorator[str]):
    """Text of any content: what a database cannot hold is stored escaped, and comes back."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        if value is None or _is_plain(value):
            return value
        return _ESCAPED + value.encode("unicode_escape").decode("ascii")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        del dialect
        if value is None or not value.startswith(_ESCAPED):
            return value
        return value.removeprefix(_ESCAPED).encode("ascii").decode("unicode_escape")


class Document(TypeDecorator[dict[str, Any]]):
    """A JSON object or array. NaN and the infinities survive as `{"$float": "nan"}`."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        del dialect
        return _to_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        del dialect
        return _from_json(value)


def _is_plain(text: str) -> bool:
    if "\x00" in text or text.startswith(_ESCAPED):
        return False
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _to_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {_NON_FINITE: str(value)}
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_NON_FINITE}:
            return float(value[_NON_FINITE])
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return value
