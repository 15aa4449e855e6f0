"""Two small worlds with a champion's rows and the rows that came after, each true to one formula.

`sales` is a regression: what a kiosk sells in an hour. `returns` is binary: whether an order comes
back. Each has columns that honest models can use, one that says nothing, and nothing is hidden.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from include.evergreen.spec import ModelSpec

BEGAN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
#: Hours the champion knows, hours after them, and how many of these are held out.
KNOWN, NEW, HELD_OUT = 600, 1_200, 480
HOLDOUT_FROM = BEGAN + dt.timedelta(hours=KNOWN + NEW - HELD_OUT)

Frame = pl.DataFrame


@dataclass(frozen=True)
class World:
    """A model's spec, as a document, and the rows of so many hours, the same for the same seed."""

    spec: dict[str, Any]
    rows: Callable[[int, int], Frame]

    def made(self, builder: str, gates: dict[str, Any], training: dict[str, Any]) -> ModelSpec:
        """The spec with one estimator: a function of `models/sabotage.py`."""
        document = {**self.spec, "gates": gates}
        estimators = [f"include.models.sabotage:{builder}"]
        document["training"] = {**document["training"], "estimators": estimators, **training}
        return ModelSpec.model_validate(document)

    def known(self) -> Frame:
        """The rows of the champion's time."""
        return self.rows(0, KNOWN)

    def new(self) -> Frame:
        """The rows that came after it."""
        return self.rows(KNOWN, KNOWN + NEW)


def _times(first: int, last: int) -> pl.Series:
    times = [BEGAN + dt.timedelta(hours=hour) for hour in range(first, last)]
    return pl.Series("at", times, dtype=pl.Datetime("us", "UTC"))


def _sales(first: int, last: int) -> Frame:
    random = np.random.default_rng(11)
    n = KNOWN + NEW
    visitors = random.uniform(0, 100, n).round(1)
    price = random.uniform(1, 10, n).round(2)
    promo = random.random(n) < 0.3
    shop = random.choice(["north", "south", "east"], n, p=[0.1, 0.5, 0.4])
    clerk = random.choice(["first", "second"], n)
    sales = 50 + 0.5 * visitors - 3 * price + 8 * promo + random.normal(0, 5, n)
    frame = pl.DataFrame(
        {
            "visitors": visitors,
            "price": price,
            "promo": promo,
            "shop": shop,
            "clerk": clerk,
            "receipts": random.uniform(0, 100, n).round(3),
            "sales": sales,
        }
    )
    return frame[first:last].insert_column(0, _times(first, last))


def _returns(first: int, last: int) -> Frame:
    random = np.random.default_rng(12)
    n = KNOWN + NEW
    amount = random.normal(0, 1, n).round(3)
    delay = random.exponential(1, n).round(3)
    branch = random.choice(["inland", "abroad"], n)
    logit = 2.0 * amount + 1.5 * (delay - 1)
    returned = random.random(n) < 1 / (1 + np.exp(-logit))
    frame = pl.DataFrame(
        {
            "amount": amount,
            "delay": delay,
            "branch": branch,
            "lucky_number": random.uniform(0, 100, n).round(1),
            "returned": returned,
        }
    )
    return frame[first:last].insert_column(0, _times(first, last))


_TRAINING = {
    "budget": {"trials": 1, "seconds": 600, "workers": 1},
    "holdout": {"days": HELD_OUT / 24, "min_rows": 100},
    "refit": False,
    "folds": 2,
}
SALES = World(
    {
        "model": "sales",
        "description": "What a kiosk sells in an hour.",
        "owner": "tests",
        "task": "regression",
        "data": {
            "landing": "landing/sales",
            "time": "at",
            "target": "sales",
            "columns": {
                "visitors": {"type": "float", "min": 0, "max": 100},
                "price": {"type": "float", "min": 0, "max": 20, "max_null_share": 0.05},
                "promo": {"type": "boolean"},
                "shop": {"type": "category", "values": ["north", "south", "east"]},
                "clerk": {"type": "category", "values": ["first", "second"]},
                "receipts": {"type": "float"},
                "sales": {"type": "float"},
            },
        },
        "training": {"metric": "rmse", **_TRAINING},
    },
    _sales,
)
RETURNS = World(
    {
        "model": "returns",
        "description": "Whether an order comes back.",
        "owner": "tests",
        "task": "binary",
        "data": {
            "landing": "landing/returns",
            "time": "at",
            "target": "returned",
            "columns": {
                "amount": {"type": "float"},
                "delay": {"type": "float", "min": 0},
                "branch": {"type": "category", "values": ["inland", "abroad"]},
                "lucky_number": {"type": "float"},
                "returned": {"type": "boolean"},
            },
        },
        "training": {"metric": "roc_auc", **_TRAINING},
    },
    _returns,
)
