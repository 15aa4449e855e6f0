"""A tiny model on simulated rows: a few hundred rides, labels that come later, one cheap trial."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

MODEL = "rides"
SPEC: dict[str, Any] = {
    "model": MODEL,
    "task": "regression",
    "data": {
        "landing": "landing/rows",
        "time": "at",
        "key": "ride",
        "target": "minutes",
        "labels": {"landing": "landing/labels", "key": "ride"},
        "columns": {
            "temperature": {"type": "float", "min": -60, "max": 60},
            "weather": {"type": "category", "values": ["clear", "mist", "rain"]},
            "minutes": {"type": "float", "min": 0},
        },
        "limits": {"settle_s": 0},
    },
    "training": {
        "estimators": ["ridge"],
        "metric": "rmse",
        "budget": {"trials": 1, "seconds": 60, "workers": 1},
        "holdout": {"days": 2, "min_rows": 20},
        "folds": 2,
        "min_rows": 100,
    },
    "gates": {"min_improvement": 0.2},
    "deployment": {
        "runtime": "process",
        "service_levels": {
            "p99_ms": 60_000,
            "min_requests_per_s": 0.1,
            "load_seconds": 0.3,  # a full machine answers some
            "connections": 1,
        },
        "watch": {"seconds": 0.2},
    },
    "monitoring": {"min_rows": 30, "schedule": None},
}
_FIRST = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
ROWS = 240


def rides(batch: int, seed: int = 5) -> pl.DataFrame:
    """Hourly rides with their minutes. From batch 1 on the world is warmer, and another one."""
    rng = np.random.default_rng([seed, batch])
    warm = batch > 0
    temperature = rng.normal(25 if warm else 5, 4, ROWS).round(1)
    truth = 300 + 2 * temperature if warm else 100 + 5 * temperature
    first = batch * ROWS
    return pl.DataFrame(
        {
            "at": [_FIRST + dt.timedelta(hours=first + n) for n in range(ROWS)],
            "ride": [f"r{first + n}" for n in range(ROWS)],
            "temperature": temperature,
            "weather": rng.choice(["clear", "mist", "rain"], ROWS),
            "minutes": (truth + rng.normal(0, 3, ROWS)).round(2),
        }
    )


def land(home: Path, batch: int, *, broken_rows: int = 0, garbage: bool = False) -> None:
    """Put a batch and its labels into the landing zones, as a careful sender does."""
    frame = rides(batch)
    rows = frame.drop("minutes").with_columns(
        pl.when(pl.int_range(pl.len()) < broken_rows)
        .then(pl.lit("hail"))
        .otherwise("weather")
        .alias("weather")
    )
    _put(home / "landing" / "rows" / f"rows-{batch}.csv", rows.write_csv())
    labels = frame.select("ride", "minutes")
    _put(home / "landing" / "labels" / f"labels-{batch}.csv", labels.write_csv())
    if garbage:
        _put(home / "landing" / "rows" / f"garbage-{batch}.csv", "\x00\x01 no table")


def requests(batch: int, n_rows: int) -> list[dict[str, Any]]:
    """Rows as a client asks about them."""
    frame = rides(batch, seed=6).head(n_rows).drop("minutes")
    return frame.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_dicts()


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.part")
    hidden.write_text(text)
    hidden.rename(path)
