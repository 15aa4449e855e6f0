"""How far the current values of a column lie from the reference's: exact, from all rows.

Missing values (null and NaN) are left out of the distributions and measured by themselves. No
column breaks another: constant, all-null and unseen values all have a defined answer.

Distances, each 0 for equal samples: PSI over ten reference quantiles (a value that fills one or
more by itself gets a bin of its own) or the categories; Jensen-Shannon distance, natural logarithm,
over the same; Wasserstein over the reference's standard deviation; the Kolmogorov-Smirnov
statistic D; and for `chi2` Cramer's V of the two samples at equal weight, which unlike a p-value
does not grow with the number of rows.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from include.evergreen.policy.drift import Measurement, Method
from include.evergreen.spec import ModelSpec

BINS = 10
#: Categories of which the smaller sample should hold less than this many rows share one cell.
MIN_EXPECTED = 1.0
#: Rows added to every cell before a logarithm: an empty cell says "few", not "never".
PRIOR_ROWS = 0.5
NO_VALUES = "no value to compare"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ColumnPlan:
    """What is compared of one column, by the spec. `nulls_count` is False for a late target."""

    name: str
    kind: Literal["numeric", "categorical"]
    method: Method
    threshold: float
    share_threshold: float
    nulls_count: bool = True


def column_plans(spec: ModelSpec) -> list[ColumnPlan]:
    """The columns to watch: the features and the target, less those the spec ignores."""
    watch = spec.monitoring
    target = spec.data.target
    plans = []
    for name in (*spec.feature_columns, target):
        column = spec.data.columns[name]
        if name in watch.ignore:
            continue
        numeric = column.type in ("float", "integer")
        plans.append(
            ColumnPlan(
                name=name,
                kind="numeric" if numeric else "categorical",
                method=watch.numeric_method if numeric else watch.categorical_method,
                threshold=watch.numeric_threshold if numeric else watch.categorical_threshold,
                share_threshold=watch.null_share_threshold,
                nulls_count=name != target,
            )
        )
    return plans


def measure_column(
    reference: pl.Series, current: pl.Series, plan: ColumnPlan, population: str = ""
) -> list[Measurement]:
    """All distances of one column: its distribution, its nulls, and its unseen categories.

    Args:
        reference: the champion's training values.
        current: what came in since.
        plan: method and thresholds.
        population: which current rows these are, for the note.
    """
    before, after = _values(reference, plan), _values(current, plan)
    measured = []
    if plan.nulls_count:
        measured.append(_null_share(reference, current, before, after, plan, population))
    if plan.kind == "categorical":
        measured.append(_unseen_share(before, after, plan, population))
    measured.append(_distribution(before, after, plan, population))
    return measured


def _values(column: pl.Series, plan: ColumnPlan) -> pl.Series:
    if plan.kind == "numeric":
        return column.cast(pl.Float64).fill_nan(None).drop_nulls()
    return column.cast(pl.String).drop_nulls()


def _null_share(
    reference: pl.Series,
    current: pl.Series,
    before: pl.Series,
    after: pl.Series,
    plan: ColumnPlan,
    population: str,
) -> Measurement:
    missing_before, missing_after = len(reference) - len(before), len(current) - len(after)
    share_before = missing_before / max(len(reference), 1)
    share_after = missing_after / max(len(current), 1)
    return Measurement(
        column=plan.name,
        method="null_share",
        value=max(share_after - share_before, 0.0),
        threshold=plan.share_threshold,
        n_reference=len(reference),
        n_current=len(current),
        share=(missing_before + missing_after) / max(len(reference) + len(current), 1),
        population=population,
        note=f"{share_before:.1%} to {share_after:.1%} missing",
    )


def _unseen_share(
    before: pl.Series, after: pl.Series, plan: ColumnPlan, population: str
) -> Measurement:
    """Values that the reference never had, beyond the share of them that is to be expected.

    A long tail always brings new values: the expected share is that of the values the reference
    had once (Good and Turing).
    """
    counts = before.value_counts(name="n")
    once = int((counts["n"] == 1).sum())
    unseen = int((~after.is_in(counts[before.name].implode())).sum())
    share = unseen / max(len(after), 1)
    expected = once / max(len(before), 1)
    return Measurement(
        column=plan.name,
        method="unseen_share",
        value=max(share - expected, 0.0),
        threshold=plan.share_threshold,
        n_reference=len(before),
        n_current=len(after),
        share=(unseen + once) / max(len(before) + len(after), 1),
        population=population,
        note=f"{unseen:,} of {len(after):,} values unseen in training" if unseen else "",
    )


def _distribution(
    before: pl.Series, after: pl.Series, plan: ColumnPlan, population: str
) -> Measurement:
    common: dict[str, Any] = {
        "column": plan.name,
        "method": plan.method,
        "threshold": plan.threshold,
        "n_reference": len(before),
        "n_current": len(after),
        "population": population,
    }
    if before.is_empty() or after.is_empty():
        return Measurement(value=0.0, note=NO_VALUES, **common)
    note = "constant in training" if before.n_unique() == 1 else ""
    if plan.method in ("ks", "wasserstein"):
        supremum, area = _between_curves(before, after)
        if plan.method == "ks":
            return Measurement(value=supremum, note=note, **common)
        scale = _scale(before)
        return Measurement(value=area / scale, spread=_spread(before) / scale, note=note, **common)
    counts_before, counts_after = _cells(before, after, plan)
    value = {"psi": _psi, "jensen_shannon": _jensen_shannon, "chi2": _cramers_v}[plan.method](
        counts_before, counts_after
    )
    return Measurement(value=value, cells=len(counts_before), note=note, **common)


# --- cells --------------------------------------------------------------------------------------


def _cells(before: pl.Series, after: pl.Series, plan: ColumnPlan) -> tuple[Floats, Floats]:
    """The rows of each sample in each cell; no cell is empty in both."""
    if plan.kind == "numeric":
        edges = pl.Series(_edges(before), dtype=pl.Float64)
        found = [
            np.bincount(edges.search_sorted(side, "left").to_numpy(), minlength=len(edges) + 1)
            for side in (before, after)
        ]
    else:
        left = before.alias("value").value_counts(name="before")
        right = after.alias("value").value_counts(name="after")
        both = left.join(right, on="value", how="full", coalesce=True).fill_null(0)
        found = [both["before"].to_numpy(), both["after"].to_numpy()]
    return _pool_rare(*(counts.astype(np.float64) for counts in found))


def _edges(reference: pl.Series) -> list[float]:
    """Upper edges of the reference's quantile bins, ascending; above the last is one more bin.

    A value that lies on two quantiles fills a bin alone: its lower edge is the float before it.
    """
    ordered = reference.sort()
    last = len(ordered) - 1
    quantiles = [float(ordered[round(last * i / BINS)]) for i in range(BINS + 1)]
    heavy = {low for low, high in itertools.pairwise(quantiles) if low == high}
    below = {math.nextafter(value, -math.inf) for value in heavy}
    return sorted({*quantiles[1:-1], *heavy, *below})


def _pool_rare(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    rows = before.sum(), after.sum()
    expected = (before + after) / sum(rows) * min(rows)
    rare = expected < MIN_EXPECTED
    kept = [side[~rare] for side in (before, after)]
    if rare.any() and (before[rare].sum() + after[rare].sum()) > 0:
        kept = [
            np.append(part, side[rare].sum())
            for part, side in zip(kept, (before, after), strict=True)
        ]
    return kept[0], kept[1]


def _psi(before: Floats, after: Floats) -> float:
    p = (before + PRIOR_ROWS) / (before.sum() + PRIOR_ROWS * len(before))
    q = (after + PRIOR_ROWS) / (after.sum() + PRIOR_ROWS * len(after))
    return float(np.sum((q - p) * np.log(q / p)))


def _jensen_shannon(before: Floats, after: Floats) -> float:
    p, q = before / before.sum(), after / after.sum()
    middle = (p + q) / 2
    divergence = sum(
        float(np.sum(side[side > 0] * np.log(side[side > 0] / middle[side > 0]))) / 2
        for side in (p, q)
    )
    return math.sqrt(max(divergence, 0.0))


def _cramers_v(before: Floats, after: Floats) -> float:
    p, q = before / before.sum(), after / after.sum()
    return math.sqrt(float(np.sum((p - q) ** 2 / (p + q))) / 2)


# --- curves -------------------------------------------------------------------------------------


def _between_curves(before: pl.Series, after: pl.Series) -> tuple[float, float]:
    """The largest distance and the area between the two cumulative distributions."""
    steps = (
        pl.concat(
            [
                pl.DataFrame({"x": side.alias("x")}).with_columns(step=pl.lit(sign / len(side)))
                for side, sign in ((before, 1.0), (after, -1.0))
            ]
        )
        .group_by("x")
        .agg(pl.col("step").sum())
        .sort("x")
    )
    gap = np.abs(np.cumsum(steps["step"].to_numpy()))
    widths = np.diff(steps["x"].to_numpy())
    return float(gap.max()), float(np.sum(gap[:-1] * widths))


def _spread(values: pl.Series) -> float:
    """The integral of sqrt(F (1 - F)) over x."""
    ordered = values.sort().to_numpy()
    share = np.arange(1, len(ordered)) / len(ordered)
    return float(np.sum(np.sqrt(share * (1 - share)) * np.diff(ordered)))


def _scale(values: pl.Series) -> float:
    """The standard deviation; for a constant its absolute value, or 1 where that is 0 too."""
    ordered = values.to_numpy()
    deviation = float(np.std(ordered))
    if deviation > abs(float(ordered[0])) * 1e-12:
        return deviation
    return abs(float(ordered[0])) or 1.0
