"""Picks the rows a model is proven by: every category, every kind of gap, and a spread of the rest.

Deterministic for the same rows. Each is a request as a client would send it, so that the container
can be asked the very same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from include.evergreen.stages.bundle import raw_rows

SPREAD = 32
#: So many rows at most, however many categories there are.
MOST = 200
_UNSEEN = "a value nobody has seen"
_UNSEEN_NUMBER = -987_654_321


def pick_golden_rows(frame: pl.DataFrame, contract: Mapping[str, Any]) -> list[dict[str, Any]]:
    """At most `MOST` rows of this sorted frame, and some made of them with gaps.

    Args:
        frame: rows as the lake has them; a row that breaks the contract of requests is left out.
        contract: of the bundle.
    """
    columns: Mapping[str, Mapping[str, Any]] = contract["columns"]
    strict = [name for name, column in columns.items() if not column["nullable"]]
    askable = frame.drop_nulls(strict) if strict else frame
    if askable.is_empty():
        return []
    step = max(1, askable.height // SPREAD)
    numbers = dict.fromkeys(range(0, askable.height, step))
    numbered = askable.with_row_index("_row")
    for name, column in columns.items():
        if column["type"] in ("category", "boolean"):
            seen = numbered.drop_nulls(name).group_by(name, maintain_order=True).first()
            numbers |= dict.fromkeys(seen["_row"].to_list())
        missing = numbered.filter(pl.col(name).is_null())
        numbers |= dict.fromkeys(missing["_row"].head(1).to_list())
    picked = raw_rows(askable[sorted(list(numbers)[: MOST - SPREAD])], contract)
    return [*picked, *_with_gaps(picked, columns)][:MOST]


def _with_gaps(
    rows: list[dict[str, Any]], columns: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The first row again, with one column missing, then with one category nobody has seen."""
    template = rows[0]
    made = [template | {name: None} for name, column in columns.items() if column["nullable"]]
    for name, column in columns.items():
        if column["type"] == "category" and column["unseen"] == "as_missing" and column["values"]:
            numeric = isinstance(column["values"][0], int)
            made.append(template | {name: _UNSEEN_NUMBER if numeric else _UNSEEN})
    nullable = [name for name, column in columns.items() if column["nullable"]]
    if len(nullable) > 1:
        made.append(template | dict.fromkeys(nullable))
    return made
