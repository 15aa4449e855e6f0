"""Fairness by group: what fairlearn says of a challenger that is biased, and of one that is not."""

import fairlearn.metrics
import numpy as np
import polars as pl
import pytest

from include.evergreen.stages.training.gates.fairness import fairness
from tests.unit.stages.training.contests import contest_of, people, shares, spec_of

N_ROWS = 2_000
TOWNS = {"fairness": {"columns": ["town"]}}


def contest(bias: float = 0.0, gates=None, task="binary"):
    """Outcomes that no town has more of; an answer that lifts the chances of the north."""
    rng, rows = np.random.default_rng(3), people(N_ROWS)
    chance = rng.random(N_ROWS)
    came = np.where(rng.random(N_ROWS) < chance, "yes", "no")
    north = (rows["town"] == "north").to_numpy()
    said = np.clip(chance + bias * north, 0, 1)
    rows = rows.with_columns(pl.Series("y", came))
    return contest_of(spec_of(task, gates or TOWNS), rows, shares(said))


def test_a_model_that_favours_a_group_is_stopped_and_a_fair_one_is_not():
    assert fairness(contest()).passed is True
    found = fairness(contest(bias=0.4))
    assert found.passed is False
    assert "town: a demographic parity difference of 0.4" in found.seen
    assert "town: an equalized odds difference of 0." in found.seen


def test_the_figures_are_fairlearn_s():
    made = contest(bias=0.2)
    row = fairness(made).evidence["columns"][0]
    truth = (made.truth == "yes").astype(int)
    said = (made.answers["challenger"]["prediction"] == "yes").astype(int)
    towns = made.holdout["town"].to_numpy()
    for measure in ("demographic_parity_difference", "equalized_odds_difference"):
        expected = getattr(fairlearn.metrics, measure)(truth, said, sensitive_features=towns)
        assert row[measure] == pytest.approx(expected)
    north = next(group for group in row["groups"] if group["name"] == "north")
    assert north["selection_rate"] == pytest.approx(said[towns == "north"].mean())
    assert north["metric"] == pytest.approx((said == truth)[towns == "north"].mean())


def test_a_small_group_is_not_judged_and_that_is_said():
    made = contest()
    west = (made.holdout["town"] == "west").to_numpy()
    keep = np.flatnonzero(~west | (np.cumsum(west) <= 30))
    answer = shares(np.where(west[keep], 0.0, made.answers["challenger"]["probability_yes"][keep]))
    found = fairness(contest_of(made.spec, made.holdout[keep], answer))
    assert found.passed is True, "the west never gets a yes, and is 30 rows"
    assert "not judged: town: west (30 rows), too few rows" in found.seen
    west_row = next(g for g in found.evidence["columns"][0]["groups"] if g["name"] == "west")
    assert not west_row["judged"]


def test_a_rate_of_few_rows_has_no_part_in_the_equalised_odds():
    made = contest()
    truth = made.truth.copy()
    west = (made.holdout["town"] == "west").to_numpy()
    truth[west] = "no"
    truth[np.flatnonzero(west)[:3]] = "yes"
    said = made.answers["challenger"]["probability_yes"].copy()
    said[west] = 0.2
    rows = made.holdout.with_columns(pl.Series("y", truth))
    row = fairness(contest_of(made.spec, rows, shares(said))).evidence["columns"][0]
    assert row["demographic_parity_difference"] > 0.4
    assert row["equalized_odds_difference"] < 0.2, "none of 3 is no rate"


def test_rows_without_a_value_are_no_group_and_are_counted():
    made = contest()
    towns = pl.when(pl.int_range(N_ROWS) < 100).then(None).otherwise(pl.col("town"))
    rows = made.holdout.with_columns(towns.alias("town"))
    found = fairness(contest_of(made.spec, rows, made.answers["challenger"]))
    assert found.evidence["columns"][0]["missing"] == 100
    assert "100 rows without a value" in found.seen
    nobody = rows.with_columns(pl.lit(None, pl.String).alias("town"))
    assert fairness(contest_of(made.spec, nobody, made.answers["challenger"])).passed is None


def test_a_regression_is_judged_by_its_means_and_its_worst_group():
    rng, rows = np.random.default_rng(4), people(N_ROWS)
    truth = rng.normal(50, 10, N_ROWS)
    rows = rows.with_columns(pl.Series("y", truth))
    south = (rows["town"] == "south").to_numpy()
    fair = truth + rng.normal(0, 3, N_ROWS)
    spec = spec_of("regression", TOWNS)
    assert fairness(contest_of(spec, rows, {"prediction": fair})).passed is True
    found = fairness(contest_of(spec, rows, {"prediction": fair - 7 * south}))
    assert found.passed is False
    assert "town: a mean prediction gap of 0.7" in found.seen
    noisy = np.where(south, truth + rng.normal(0, 10, N_ROWS), fair)
    found = fairness(contest_of(spec, rows, {"prediction": noisy}))
    assert found.passed is False
    assert "town: group south" in found.seen


def test_many_classes_are_judged_by_the_worst_group_alone():
    rng, rows = np.random.default_rng(4), people(N_ROWS)
    truth = rng.choice(["a", "b", "c"], N_ROWS)
    rows = rows.with_columns(pl.Series("y", truth))
    south = (rows["town"] == "south").to_numpy()
    found = fairness(
        contest_of(spec_of("multiclass", TOWNS), rows, {"prediction": np.where(south, "a", truth)})
    )
    assert found.passed is False
    assert found.required == "no group more than 50% worse than overall"
    assert found.evidence["columns"][0]["demographic_parity_difference"] is None
