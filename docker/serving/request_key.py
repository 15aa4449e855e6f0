"""The key that a request is logged under where its rows name none: its header `X-Request-Key`.

Labels that come later are joined with the log by the key of a row. Many rows are about many
things, so one header is the key of none of them. A header that is no plain text is left alone, as
an `X-Request-Id` is: the answer does not depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segments import Entry

#: Bytes of a header, as UTF-8; a longer one is no key.
LONGEST_KEY = 256


def key_column(contract: Mapping[str, Any]) -> str | None:
    """The column of the log that a header can fill: a key that the model computes nothing with."""
    key = contract.get("key")
    column = contract["optional"].get(key)
    return key if column is not None and column["type"] == "key" else None


def keyed(entry: Entry, column: str | None, header: bytes) -> Entry:
    """The entry under the key of the header, where it is of one row that names none."""
    if column is None or entry.n_rows != 1:
        return entry
    named = entry.columns.get(column)
    if named is not None and (entry.alone or named[0] is not None):
        return entry
    key = plain_key(header)
    if key is None:
        return entry
    return entry._replace(columns={**entry.columns, column: key if entry.alone else [key]})


def plain_key(header: bytes) -> str | None:
    """The header's text; None where it is empty, too long, not UTF-8, or not to be printed."""
    if not 0 < len(header) <= LONGEST_KEY:
        return None
    try:
        text = header.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() and not text.isspace() else None
