"""What each column held, in the rows learned from and in the holdout."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from include.evergreen.spec import Column
from include.evergreen.stages.training.contest import Contest

BINS = 16
#: As many whole numbers have a bar each.
MOST_WHOLE = 32
MOST_VALUES = 8
#: Columns beyond this many are told by name only: a card is read by people.
MOST_COLUMNS = 60
_NUMBERS = ("float", "integer")
_PARTS = ("train", "holdout")


def columns_of_card(contest: Contest) -> dict[str, Any]:
    """The target, and every column a request carries: its contract, and what it held."""
    spec = contest.spec
    named = dict(spec.feature_columns)
    told = dict(list(named.items())[:MOST_COLUMNS])
    target = spec.data.target
    return {
        "target": _described(contest, target, spec.data.columns[target]),
        "columns": [_described(contest, name, column) for name, column in told.items()],
        "not_shown": [name for name in named if name not in told],
    }


def _described(contest: Contest, name: str, column: Column) -> dict[str, Any]:
    parts = {"train": contest.train[name], "holdout": contest.holdout[name]}
    numbers = column.type in _NUMBERS
    return {
        "name": name,
        "type": column.type,
        "min": column.min,
        "max": column.max,
        "values": None if column.values is None else list(column.values),
        "max_null_share": column.max_null_share,
        "missing": {
            part: values.null_count() / max(1, len(values)) for part, values in parts.items()
        },
        "held": _histogram(parts) if numbers else _shares(parts),
    }


def _histogram(parts: dict[str, pl.Series]) -> dict[str, Any]:
    """Shares in equal bins between the 0.5% and 99.5% quantiles; what is beyond is in the ends."""
    numbers = {
        part: values.drop_nulls().drop_nans().cast(pl.Float64).to_numpy()
        if values.dtype.is_float()
        else values.drop_nulls().cast(pl.Float64).to_numpy()
        for part, values in parts.items()
    }
    both = np.concatenate(list(numbers.values()))
    if not len(both):
        return {"kind": "histogram", "edges": [], "train": [], "holdout": []}
    low, high = np.quantile(both, [0.005, 0.995])
    distinct = np.unique(both)
    if len(distinct) <= MOST_WHOLE and float(distinct[-1] - distinct[0]) == len(distinct) - 1:
        edges = np.append(distinct, distinct[-1] + 1) - 0.5  # whole numbers, each its own bar
    else:
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = {
        part: (np.histogram(values.clip(edges[0], edges[-1]), edges)[0] / max(1, len(values)))
        for part, values in numbers.items()
    }
    return {
        "kind": "histogram",
        "edges": edges.tolist(),
        "median": {part: float(np.median(v)) if len(v) else None for part, v in numbers.items()},
        **{part: values.tolist() for part, values in shares.items()},
    }


def _shares(parts: dict[str, pl.Series]) -> dict[str, Any]:
    """Shares of the most frequent values of the rows learned from, and of all others together."""
    counts = {part: _counted(values) for part, values in parts.items()}
    order = sorted(
        dict.fromkeys([*counts["train"], *counts["holdout"]]),
        key=lambda value: (-counts["train"].get(value, 0), value),
    )
    shown = order if len(order) <= MOST_VALUES else order[: MOST_VALUES - 1]
    totals = {part: max(1, sum(found.values())) for part, found in counts.items()}
    rows = {part: [counts[part].get(value, 0) / totals[part] for value in shown] for part in _PARTS}
    others = len(order) - len(shown)
    if others:
        for part in _PARTS:
            rows[part].append(max(0.0, 1 - sum(rows[part])))
    return {"kind": "values", "values": shown, "others": others, **rows}


def _counted(values: pl.Series) -> dict[str, int]:
    counted = values.drop_nulls().value_counts()
    return {
        str(value): int(n) for value, n in zip(counted[values.name], counted["count"], strict=True)
    }
