"""Asks about the holdout again with a little noise, and again with some cells missing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.gates.stability import check_stability
from include.evergreen.spec import Column
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.gates.errors import error
from include.evergreen.stages.training.gates.rows import answer_at, spread_indices

#: Rows of the holdout that are asked about again, evenly spread.
ROWS = 5_000
NOISE, MISSING = "noise", "missing cells"


def stability(contest: Contest) -> Finding:
    """The errors on touched rows beside that on the same rows as they are."""
    chosen = spread_indices(contest.holdout.height, ROWS)
    rows, truth = contest.holdout[chosen], contest.truth[chosen]
    touched = _touched(contest, rows)
    untouched, naive = (
        error(contest, answer_at(contest.answers[name], chosen), truth)
        for name in ("challenger", "baseline")
    )
    errors = {name: error(contest, contest.ask(frame), truth) for name, frame in touched.items()}
    return check_stability(untouched, naive, errors, contest.spec.gates.stability.max_loss)


def _touched(contest: Contest, rows: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """The rows with noise, and with missing cells, as far as there are columns for either."""
    knobs = contest.spec.gates.stability
    columns = contest.spec.feature_columns
    generator = np.random.default_rng(contest.spec.training.seed)
    numeric = [name for name, column in columns.items() if column.type in ("float", "integer")]
    nullable = [name for name, column in columns.items() if column.max_null_share > 0]
    found = {}
    noisy = [
        with_noise(rows[name], columns[name], knobs.noise * _spread(contest.train, name), generator)
        for name in numeric
    ]
    if noisy:
        found[NOISE] = rows.with_columns(noisy)
    if nullable and knobs.missing_share > 0:
        missing = [with_missing(rows[name], knobs.missing_share, generator) for name in nullable]
        found[MISSING] = rows.with_columns(missing)
    return found


def _spread(train: pl.DataFrame, name: str) -> float:
    """The standard deviation of a column's known values; 0 where there are not two."""
    deviation = train[name].std()
    return float(deviation) if isinstance(deviation, int | float) else 0.0


def with_noise(
    series: pl.Series, column: Column, deviation: float, generator: np.random.Generator
) -> pl.Series:
    """Normal noise that stays what the contract allows: clipped, and whole for an integer."""
    noise = pl.Series(generator.normal(0.0, deviation, len(series)))
    noisy = series.cast(pl.Float64) + noise
    if column.min is not None or column.max is not None:
        noisy = noisy.clip(column.min, column.max)
    whole = noisy.round() if column.type == "integer" else noisy
    return whole.cast(series.dtype).alias(series.name)


def with_missing(series: pl.Series, share: float, generator: np.random.Generator) -> pl.Series:
    """Each cell missing with this probability."""
    kept = pl.Series(generator.random(len(series)) >= share)
    return series.to_frame().select(pl.when(kept).then(pl.col(series.name))).to_series()
