"""Simulated half hours of an electricity market, in the columns of Elec2 (normalised to 0..1)."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from include.evergreen.simulator.faults import (
    break_schema,
    check_switches,
    soil_rows,
    withhold_labels,
)

SLOTS = 48
KEY, TARGET = "timestamp", "price_up"
LABELS = ("price_up",)
_FAULTS: dict[str, float | int | str | None] = {
    "nswdemand": 1.8,
    "vicprice": "n/a",
    "day_of_week": 9,
    "price_up": 2,
    "transfer": -0.5,
}


def simulate_electricity(
    start: dt.date,
    days: int,
    *,
    seed: int,
    covariate_drift: float = 0.0,
    concept_drift: float = 0.0,
    schema_break: bool = False,
    dirty_share: float = 0.0,
    late_labels: bool = False,
) -> pl.DataFrame:
    """Half-hourly rows from `start` on: [days * 48] rows, the 7 columns of the real file.

    Args:
        start: first day.
        days: how many days.
        seed: of all chance in it.
        covariate_drift: 0 to 1: demand grows and more is transferred; the rule of prices stays.
        concept_drift: 0 to 1: prices follow the transfer and the night, no longer the demand.
        schema_break: `nswdemand` comes as `nsw_demand_mw`, in megawatts.
        dirty_share: share of rows with one broken value each.
        late_labels: `price_up` is empty; `labels_of` the same call without this switch gives it.
    """
    check_switches(days, dirty_share, covariate_drift=covariate_drift, concept_drift=concept_drift)
    frame = pl.concat(
        _one_day(start + dt.timedelta(days=n), seed, covariate_drift, concept_drift)
        for n in range(days)
    )
    frame = soil_rows(frame, dirty_share, seed, _FAULTS)
    if late_labels:
        frame = withhold_labels(frame, LABELS)
    return break_schema(frame, "nswdemand", "nsw_demand_mw", 14_000) if schema_break else frame


def _one_day(day: dt.date, seed: int, covariate_drift: float, concept_drift: float) -> pl.DataFrame:
    rng = np.random.default_rng([seed, day.toordinal()])
    mood = 0.06 * np.random.default_rng([seed, day.toordinal(), 7]).normal(size=2)
    hour = np.arange(SLOTS) / 2
    weekend = day.weekday() > 4  # noqa: PLR2004
    cold = np.cos(2 * np.pi * (day.timetuple().tm_yday - 200) / 365.25)
    wave = 0.2 * np.exp(-0.5 * ((hour - 9) / 2.5) ** 2) + 0.24 * np.exp(
        -0.5 * ((hour - 18.5) / 2.5) ** 2
    )
    level = 0.3 + 0.06 * cold - 0.07 * weekend + 0.16 * covariate_drift
    nsw = level + wave + mood[0] + rng.normal(0, 0.02, SLOTS)
    vic = level + 0.75 * wave + 0.6 * mood[0] + mood[1] + rng.normal(0, 0.02, SLOTS)
    transfer = 0.5 + 0.9 * (vic - nsw) + 0.22 * covariate_drift + rng.normal(0, 0.07, SLOTS)
    price = 0.0015 + 0.006 * np.clip(vic, 0, 1) ** 2 * rng.lognormal(0, 0.5, SLOTS)
    calm = 14 * (nsw - 0.42) + 260 * (price - 0.003) - 3 * (transfer - 0.45)
    moved = 12 * (transfer - 0.5 - 0.1 * covariate_drift) + 2.2 * np.cos(2 * np.pi * hour / 24)
    odds = (1 - concept_drift) * calm + concept_drift * moved + rng.normal(0, 0.7, SLOTS)
    return pl.DataFrame(
        {
            "timestamp": [
                (dt.datetime.combine(day, dt.time()) + dt.timedelta(minutes=30 * n)).isoformat()
                for n in range(SLOTS)
            ],
            "day_of_week": np.full(SLOTS, day.weekday()),
            "nswdemand": np.clip(nsw, 0, 1).round(6),
            "vicprice": np.clip(price, 0, 1).round(6),
            "vicdemand": np.clip(vic, 0, 1).round(6),
            "transfer": np.clip(transfer, 0, 1).round(6),
            "price_up": (odds > 0).astype(np.int64),
        }
    )
