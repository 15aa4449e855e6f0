"""Simulated rides per hour, in the columns of the UCI Bike Sharing data as published.

Demand grows from year to year, follows the hour (two peaks on working days, one broad hump on
others), the season, the temperature and the weather, and scatters as counts do.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import polars as pl

from include.evergreen.simulator.faults import (
    break_schema,
    check_switches,
    soil_rows,
    withhold_labels,
)

FIRST_DAY = dt.date(2011, 1, 1)
HOURS = 24
KEY, TARGET = "instant", "cnt"
LABELS = ("casual", "registered", "cnt")
_COLUMNS = (
    "instant", "dteday", "season", "yr", "mnth", "hr", "holiday", "weekday", "workingday",
    "weathersit", "temp", "atemp", "hum", "windspeed", "casual", "registered", "cnt",
)  # fmt: skip
_FAULTS: dict[str, float | int | str | None] = {
    "hum": 1.7,
    "weathersit": 9,
    "cnt": -1,
    "windspeed": "strong",
    "hr": 25,
}
_SATURDAY = 5


def simulate_bike(
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
    """Hourly rows from `start` on: [days * 24] rows, the 17 columns of the real file.

    Args:
        start: first day; not before 2011.
        days: how many days.
        seed: of all chance in it.
        covariate_drift: 0 to 1: warmer, damper and windier, and worse weather. The relation
            between weather and demand stays.
        concept_drift: 0 to 1: people ride at other hours and dislike heat; the weather stays.
        schema_break: `hum` comes as `humidity_pct`, in percent.
        dirty_share: share of rows with one broken value each.
        late_labels: `casual`, `registered` and `cnt` are empty; `labels_of` the same call
            without this switch gives them.
    """
    check_switches(days, dirty_share, covariate_drift=covariate_drift, concept_drift=concept_drift)
    if start < FIRST_DAY:
        raise ValueError(f"start is {start}; the simulated system opens on {FIRST_DAY}.")
    frame = pl.concat(
        _one_day(start + dt.timedelta(days=n), seed, covariate_drift, concept_drift)
        for n in range(days)
    )
    frame = soil_rows(frame, dirty_share, seed, _FAULTS)
    if late_labels:
        frame = withhold_labels(frame, LABELS)
    return break_schema(frame, "hum", "humidity_pct", 100) if schema_break else frame


class _Weather(NamedTuple):
    """Temperature, humidity and wind (each [24] in 0..1) and the sky (1 clear to 4 storm)."""

    temp: np.ndarray
    hum: np.ndarray
    wind: np.ndarray
    sky: np.ndarray


def _one_day(day: dt.date, seed: int, covariate_drift: float, concept_drift: float) -> pl.DataFrame:
    rng = np.random.default_rng([seed, day.toordinal()])
    hour = np.arange(HOURS)
    holiday = _is_holiday(day)
    working = day.weekday() < _SATURDAY and not holiday
    weather = _weather(day, seed, rng, covariate_drift)
    temp, hum, wind, sky = weather
    mean = _demand(day, hour, working, weather, concept_drift)
    count = rng.poisson(mean * rng.gamma(60, 1 / 60, HOURS))
    casual = rng.binomial(count, (0.12 if working else 0.3) * (0.4 + temp))
    columns = {
        "instant": (day - FIRST_DAY).days * HOURS + hour + 1,
        "dteday": [day.isoformat()] * HOURS,
        "season": np.full(HOURS, _season(day)),
        "yr": np.full(HOURS, day.year - FIRST_DAY.year),
        "mnth": np.full(HOURS, day.month),
        "hr": hour,
        "holiday": np.full(HOURS, int(holiday)),
        "weekday": np.full(HOURS, day.isoweekday() % 7),
        "workingday": np.full(HOURS, int(working)),
        "weathersit": sky,
        "temp": temp.round(2),
        "atemp": np.clip(temp * 0.94 + 0.03 - 0.08 * wind, 0, 1).round(4),
        "hum": hum.round(2),
        "windspeed": wind.round(4),
        "casual": casual,
        "registered": count - casual,
        "cnt": count,
    }
    return pl.DataFrame(columns).select(_COLUMNS)


def _weather(day: dt.date, seed: int, rng: np.random.Generator, drift: float) -> _Weather:
    hour = np.arange(HOURS)
    spell, before = (
        np.random.default_rng([seed, day.toordinal() - back, 7]).normal(size=3) for back in (0, 1)
    )
    mood = 0.75 * spell + 0.5 * before
    year_wave = -np.cos(2 * np.pi * (day.timetuple().tm_yday - 20) / 365.25)
    temp = 0.5 + 0.26 * year_wave + 0.07 * mood[0] - 0.07 * np.cos(2 * np.pi * (hour - 3) / 24)
    temp = temp + 0.2 * drift + rng.normal(0, 0.015, HOURS)
    hum = 0.6 - 0.11 * mood[0] + 0.13 * mood[1] + 0.13 * np.cos(2 * np.pi * (hour - 5) / 24)
    hum = hum + 0.2 * drift + rng.normal(0, 0.03, HOURS)
    wind = np.abs(0.18 + 0.08 * mood[2] + 0.05 * np.sin(2 * np.pi * (hour - 9) / 24))
    wind = wind + 0.2 * drift + np.abs(rng.normal(0, 0.05, HOURS))
    gloom = 1.1 * mood[1] + 0.9 * drift + rng.normal(0, 0.35, HOURS)
    sky = 1 + (gloom > 0.6).astype(int) + (gloom > 1.6) + (gloom > 3.4)  # noqa: PLR2004
    return _Weather(np.clip(temp, 0.02, 1), np.clip(hum, 0, 1), np.clip(wind, 0, 1), sky)


def _demand(
    day: dt.date, hour: np.ndarray, working: bool, weather: _Weather, drift: float
) -> np.ndarray:
    """The expected rides of each hour: [24] > 0."""
    temp, hum, wind, sky = weather

    def peak(at: float, width: float) -> np.ndarray:
        apart = np.minimum(np.abs(hour - at), HOURS - np.abs(hour - at))
        return np.asarray(np.exp(-0.5 * (apart / width) ** 2))

    before = 2.6 * peak(8, 1.2) + 3.2 * peak(17.5, 1.8) + 0.9 * peak(13, 4)
    after = 0.8 * peak(8, 1.2) + 2.0 * peak(11, 2.5) + 3.4 * peak(20.5, 2.2)
    free = 2.6 * peak(14, 4)
    shape = (1 - drift) * before + drift * after if working else free * (1 + 0.8 * drift)
    warmth = 0.25 + 1.9 * temp - 1.1 * np.clip(temp - 0.7, 0, 1)
    heat_averse = 1.5 - 1.4 * np.clip(temp - 0.35, 0, 1)
    liking = (1 - drift) * warmth + drift * heat_averse
    sky_factor = np.array([1.0, 0.88, 0.55, 0.2])[sky - 1]
    comfort = liking * sky_factor * (1 - 0.35 * hum**2) * (1 - 0.3 * wind)
    years = (day - FIRST_DAY).days / 365.25
    growth = 1 + 0.35 * min(years, 4.0)
    return np.asarray(8 + 95 * growth * (0.06 + shape) * comfort)


def _season(day: dt.date) -> int:
    """1 winter, 2 spring, 3 summer, 4 autumn, as the real file counts them."""
    turns = ((3, 21), (6, 21), (9, 23), (12, 21))
    return sum((day.month, day.day) >= turn for turn in turns) % 4 + 1


def _is_holiday(day: dt.date) -> bool:
    """The holidays of Washington, D.C. that fall on a fixed date or a fixed weekday."""
    nth = (day.day - 1) // 7 + 1
    movable = {(1, 3, 0), (2, 3, 0), (9, 1, 0), (10, 2, 0), (11, 4, 3)}
    fixed = {(1, 1), (4, 16), (7, 4), (11, 11), (12, 25)}
    return (day.month, day.day) in fixed or (day.month, nth, day.weekday()) in movable
