"""The storm's model: rides obey another law every episode, so that there is a retrain to win."""

from __future__ import annotations

import copy
import random
from typing import Any, get_args

import polars as pl

from include.evergreen.contracts import GateName
from tests.chaos import rides

MODEL = rides.MODEL
#: A law is this far from its neighbours, in minutes; the noise is 3.
_JUMP = (150.0, 400.0)
#: A storm asks what is lost, not who should win: here one column explains nearly everything
#: (leakage), and the mean is far off after each change of the law (calibration). Told, not blocked.
_TOLD = tuple(gate for gate in get_args(GateName) if gate not in {"champion", "baseline"})


def spec(landing: str, labels: str, runtime: str) -> dict[str, Any]:
    """Two quick trials by two workers, a monitor that looks every minute, no brake on trainings."""
    document = copy.deepcopy(rides.SPEC)
    document["data"]["landing"] = landing
    document["data"]["labels"]["landing"] = labels
    document["data"]["columns"]["law"] = {"type": "float"}
    document["training"]["estimators"] = ["hist_gradient_boosting"]
    document["training"]["budget"] = {"trials": 2, "seconds": 60, "workers": 2}
    document["gates"] = {"min_improvement": 0.05, "modes": dict.fromkeys(_TOLD, "warn")}
    document["retrain"] = {"daily_trainings": 1000, "max_rejections": 1000}
    document["deployment"]["runtime"] = runtime
    document["deployment"]["service_levels"]["load_seconds"] = 1.0  # a full machine answers some
    document["deployment"]["watch"]["seconds"] = 2.0
    document["monitoring"] = {"min_rows": 1_000_000, "schedule": "* * * * *"}
    return document


class Laws:
    """Batches of rides in the order they happened, and the law of each episode."""

    def __init__(self) -> None:
        self.batches = 0
        self.law = 0
        self._level = 100.0

    def change(self, rng: random.Random) -> None:
        """From now on rides take another time."""
        self.law += 1
        self._level += rng.choice((-1, 1)) * rng.uniform(*_JUMP)
        self._level = abs(self._level) + 50.0

    def batch(self) -> pl.DataFrame:
        """The next ten days of rides, hour by hour."""
        frame = rides.rides(self.batches)
        self.batches += 1
        return frame.with_columns(
            pl.lit(float(self.law)).alias("law"),
            (self._level + pl.col("temperature") * 5 + pl.col("minutes") % 3).alias("minutes"),
        )

    def requests(self, n_rows: int) -> list[dict[str, Any]]:
        """Rows as a client asks about them now."""
        return [{**row, "law": float(self.law)} for row in rides.requests(0, n_rows)]
