"""What goes wrong with real files: dirty rows, a renamed column in another unit, late labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl


def check_switches(days: int, dirty_share: float, **drifts: float) -> None:
    """ValueError where a switch is out of its range."""
    if days < 1:
        raise ValueError(f"days is {days}; at least 1 is needed.")
    for name, value in {"dirty_share": dirty_share, **drifts}.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must lie between 0 and 1.")


def soil_rows(
    frame: pl.DataFrame, share: float, seed: int, faults: Mapping[str, float | int | str | None]
) -> pl.DataFrame:
    """Give `round(share * rows)` rows one fault each: a value of `faults` put into its column.

    A column that gets a text becomes a text column, as it would read in a CSV.
    """
    count = round(share * frame.height)
    if not count:
        return frame
    rng = np.random.default_rng([seed, frame.height, 1])
    rows = rng.permutation(frame.height)[:count]
    columns = list(faults)
    for index, column in enumerate(columns):
        hit = rows[index :: len(columns)]
        mask = np.zeros(frame.height, dtype=bool)
        mask[hit] = True
        value = faults[column]
        kind = pl.String if isinstance(value, str) else frame.schema[column]
        frame = frame.with_columns(
            pl.when(pl.Series(mask))
            .then(pl.lit(value, dtype=kind))
            .otherwise(pl.col(column).cast(kind))
            .alias(column)
        )
    return frame


def break_schema(frame: pl.DataFrame, column: str, renamed: str, factor: float) -> pl.DataFrame:
    """Somebody renames a column and changes its unit."""
    return frame.with_columns((pl.col(column) * factor).round(2)).rename({column: renamed})


def withhold_labels(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """The targets are not known yet: their columns are there, and empty."""
    return frame.with_columns(
        pl.lit(None, dtype=frame.schema[column]).alias(column) for column in columns
    )
