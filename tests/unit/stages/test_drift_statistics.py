"""The distances are the ones of the books, and no odd column breaks them."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial import distance

from include.evergreen.policy.drift import decide_drift
from include.evergreen.spec import load_spec
from include.evergreen.stages.monitoring import drift_statistics as statistics
from include.evergreen.stages.monitoring.drift_statistics import (
    ColumnPlan,
    column_plans,
    measure_column,
)

RNG = np.random.default_rng(11)
NUMERIC = ColumnPlan("x", "numeric", "psi", 0.25, 0.05)
CATEGORY = ColumnPlan("x", "categorical", "psi", 0.25, 0.05)


def by(plan: ColumnPlan, method: str) -> ColumnPlan:
    return dataclasses.replace(plan, method=method)


def value(before, after, plan: ColumnPlan, method: str | None = None) -> float:
    plan = by(plan, method) if method and method not in ("null_share", "unseen_share") else plan
    measured = measure_column(pl.Series("x", before), pl.Series("x", after), plan)
    return {m.method: m.value for m in measured}[method or plan.method]


@pytest.fixture(scope="module")
def samples() -> tuple[np.ndarray, np.ndarray]:
    return RNG.normal(0, 2, 5000), RNG.normal(1, 3, 700)


def test_ks_and_wasserstein_equal_scipys(samples):
    before, after = samples
    assert value(before, after, NUMERIC, "ks") == pytest.approx(
        stats.ks_2samp(before, after).statistic
    )
    expected = stats.wasserstein_distance(before, after) / before.std()
    assert value(before, after, NUMERIC, "wasserstein") == pytest.approx(expected)


def test_ties_do_not_disturb_ks():
    before, after = RNG.integers(0, 4, 500), RNG.integers(1, 5, 300)
    expected = stats.ks_2samp(before, after).statistic
    assert value(before, after, NUMERIC, "ks") == pytest.approx(expected)


def test_jensen_shannon_equals_scipys():
    before, after = ["a"] * 60 + ["b"] * 40, ["a"] * 20 + ["b"] * 70 + ["c"] * 10
    expected = distance.jensenshannon([0.6, 0.4, 0], [0.2, 0.7, 0.1])
    assert value(before, after, CATEGORY, "jensen_shannon") == pytest.approx(expected)


def test_psi_is_the_formula():
    before, after = ["a"] * 60_000 + ["b"] * 40_000, ["a"] * 20_000 + ["b"] * 80_000
    expected = (0.2 - 0.6) * np.log(0.2 / 0.6) + (0.8 - 0.4) * np.log(0.8 / 0.4)
    assert value(before, after, CATEGORY) == pytest.approx(expected, rel=1e-3)


def test_cramers_v_is_that_of_equally_large_samples():
    table = np.array([[600, 400], [200, 800]])
    expected = np.sqrt(stats.chi2_contingency(table, correction=False).statistic / table.sum())
    before, after = ["a"] * 600 + ["b"] * 400, ["a"] * 2 + ["b"] * 8
    assert value(before, after, CATEGORY, "chi2") == pytest.approx(expected)


@pytest.mark.parametrize("method", ["psi", "jensen_shannon", "wasserstein", "ks"])
def test_equal_samples_are_at_distance_zero(method: str, samples):
    assert value(samples[0], samples[0], NUMERIC, method) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("method", ["psi", "jensen_shannon", "wasserstein", "ks"])
@pytest.mark.parametrize("moved_to", [4.999, 5.001, -1e300])
def test_a_constant_that_moves_is_seen_in_either_direction(method: str, moved_to: float):
    measured = measure_column(
        pl.Series([5.0] * 400), pl.Series([moved_to] * 400), by(NUMERIC, method)
    )
    distribution = measured[-1]
    assert distribution.note == "constant in training"
    assert np.isfinite(distribution.value)
    if method != "wasserstein" or abs(moved_to) > 1e9:  # a distance sees how far, not that
        verdict = decide_drift(
            measured, rows_reference=400, rows_current=400, min_drifted_columns=1
        )
        assert verdict.verdict == "drift"


@pytest.mark.parametrize("constant", [0.0, 5.0, -1e-300])
@pytest.mark.parametrize("method", ["psi", "jensen_shannon", "wasserstein", "ks"])
def test_a_constant_that_stays_is_at_distance_zero(method: str, constant: float):
    assert value([constant] * 400, [constant] * 50, NUMERIC, method) == pytest.approx(0, abs=1e-9)


def test_a_value_that_fills_bins_alone_gets_one():
    before = [0.0] * 500 + list(np.linspace(0.1, 1, 500))
    moved = [0.05] * 500 + list(np.linspace(0.1, 1, 500))
    assert value(before, moved, NUMERIC) > 1


def test_all_null_on_either_side_is_no_distribution():
    for before, after in (([1.0] * 50, [None] * 50), ([None] * 50, [1.0] * 50)):
        measured = measure_column(
            pl.Series(before, dtype=pl.Float64), pl.Series(after, dtype=pl.Float64), NUMERIC
        )
        assert (measured[-1].value, measured[-1].note) == (0, statistics.NO_VALUES)


def test_nan_counts_as_missing():
    assert value([1.0] * 100, [1.0] * 90 + [float("nan")] * 10, NUMERIC, "null_share") == 0.1


def test_fewer_nulls_are_no_drift():
    assert value([None] * 50 + [1.0] * 50, [1.0] * 100, NUMERIC, "null_share") == 0


def test_a_late_target_may_be_missing():
    plan = dataclasses.replace(NUMERIC, nulls_count=False)
    measured = measure_column(pl.Series([1.0] * 50), pl.Series([1.0, None] * 25), plan)
    assert [m.method for m in measured] == ["psi"]


def test_a_long_tail_brings_unseen_values_without_drift():
    names = [f"n{int(i)}" for i in RNG.zipf(1.5, 20_000)]
    assert value(names[:15_000], names[15_000:], CATEGORY, "unseen_share") < 0.02
    foreign = names[15_000:16_000] + ["never seen"] * 200
    assert value(names[:15_000], foreign, CATEGORY, "unseen_share") > 0.1


def test_an_empty_side_is_no_distance():
    empty = pl.Series("x", [], dtype=pl.Float64)
    assert [m.value for m in measure_column(empty, empty, NUMERIC)] == [0, 0]


def test_booleans_and_whole_numbers_are_compared():
    assert value([True, False] * 100, [True] * 200, CATEGORY) > 0.25
    assert value([1, 2, 3, 4] * 100, [1] * 400, NUMERIC) > 0.25


def test_the_plan_follows_the_spec(project_root: Path):
    spec = load_spec(project_root / "include" / "models" / "bike_demand.yaml")
    plans = {plan.name: plan for plan in column_plans(spec)}
    assert not set(plans) & set(spec.monitoring.ignore)
    assert plans["hum"].kind == "numeric"
    assert plans["weathersit"].kind == plans["holiday"].kind == "categorical"
    assert not plans["cnt"].nulls_count
