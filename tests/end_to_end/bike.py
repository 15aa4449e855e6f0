"""The bike-sharing data by month: the real file where it is, the simulator's else."""

import datetime as dt
import gzip
from pathlib import Path

import polars as pl

from include.evergreen.simulator import simulate_bike


def hours(shared_data: Path | None, first: dt.date, after: dt.date) -> pl.DataFrame:
    """Rows with `first <= dteday < after`, as published."""
    if shared_data is None:
        return simulate_bike(first, (after - first).days, seed=11)
    with gzip.open(shared_data / "bike_sharing_hourly.csv.gz") as file:
        rows = pl.read_csv(file.read(), try_parse_dates=True)
    return rows.filter(pl.col("dteday") >= first, pl.col("dteday") < after).with_columns(
        pl.col("dteday").cast(pl.String)
    )


def month(shared_data: Path | None, year: int, number: int) -> pl.DataFrame:
    first = dt.date(year, number, 1)
    after = dt.date(year + number // 12, number % 12 + 1, 1)
    return hours(shared_data, first, after)


def drop(rows: pl.DataFrame, landing: Path, name: str) -> Path:
    """Put a file into a landing zone the way a careful sender does: whole, by renaming it."""
    landing.mkdir(parents=True, exist_ok=True)
    hidden, final = landing / f".{name}.part", landing / name
    rows.write_csv(hidden)
    hidden.rename(final)
    return final
