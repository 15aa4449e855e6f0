"""Measures the metric on the rows of each slice of the spec."""

from __future__ import annotations

import math

import polars as pl

from include.evergreen.policy.gates import slices as policy
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.spec.gates import Slice
from include.evergreen.stages.training.contest import Contest

_SHOWN_VALUES = 4
_LONGEST = 40


def slices(contest: Contest) -> Finding:
    """Of the challenger and the champion (the naive baseline for a first model), on the same."""
    return policy.slices([_measured(contest, wanted) for wanted in contest.spec.gates.slices])


def _measured(contest: Contest, wanted: Slice) -> policy.MeasuredSlice:
    column = contest.holdout[wanted.column]
    inside = _inside(column, wanted).to_numpy()
    rows = int(inside.sum())
    enough = rows >= wanted.min_rows

    def score(name: str) -> float:
        return contest.score_part(name, inside) if enough else math.nan

    return policy.MeasuredSlice(
        name=name_of(wanted),
        rows=rows,
        missing=int(column.null_count()),
        min_rows=wanted.min_rows,
        max_loss=wanted.max_loss,
        challenger=score("challenger"),
        champion=score("champion") if "champion" in contest.answers else None,
        baseline=score("baseline"),
        metric=contest.metric,
    )


def _inside(column: pl.Series, wanted: Slice) -> pl.Series:
    """Which rows are in the slice; a missing value is in none."""
    if wanted.values is not None:
        return column.is_in(list(wanted.values)).fill_null(value=False)
    inside = column.is_not_null()
    if wanted.min is not None:
        inside &= column >= wanted.min
    if wanted.max is not None:
        inside &= column < wanted.max
    return inside.fill_null(value=False)


def name_of(wanted: Slice) -> str:
    """What a slice is called: by the spec, or its column and values."""
    if wanted.name is not None:
        return wanted.name
    column = wanted.column[:_LONGEST]
    if wanted.values is not None:
        shown = ", ".join(str(value)[:_LONGEST] for value in wanted.values[:_SHOWN_VALUES])
        more = len(wanted.values) - _SHOWN_VALUES
        return f"{column} {shown}{f' and {more} more' if more > 0 else ''}"
    if wanted.min is None:
        return f"{column} below {wanted.max:g}"
    if wanted.max is None:
        return f"{column} from {wanted.min:g}"
    return f"{column} {wanted.min:g} to {wanted.max:g}"
