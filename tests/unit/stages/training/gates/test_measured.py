"""Champion, floors, slices and calibration, on answers made to pass or fail them."""

import numpy as np
import polars as pl
import pytest

from include.evergreen.spec.gates import Slice
from include.evergreen.stages.training.gates.calibration import calibration, curve_of
from include.evergreen.stages.training.gates.champion import champion
from include.evergreen.stages.training.gates.floors import floors
from include.evergreen.stages.training.gates.slices import name_of, slices
from tests.unit.stages.training.contests import contest_of, people, shares, spec_of

RNG = np.random.default_rng(5)


def regression(n_rows=600, gates=None, *, challenger=1.0, champion=2.0, seed=1):
    """A target, and two that miss it by noise of these sizes."""
    rng, rows = np.random.default_rng(seed), people(n_rows, seed)
    rows = rows.with_columns(pl.Series("y", rng.normal(50, 10, n_rows)))
    truth = rows["y"].to_numpy()
    answers = [
        None if noise is None else {"prediction": truth + rng.normal(0, noise, n_rows)}
        for noise in (challenger, champion)
    ]
    return contest_of(spec_of("regression", gates), rows, *answers)


def test_a_clear_win_holds_in_every_resample_and_the_same_contest_says_the_same():
    contest = regression()
    found = champion(contest)
    assert found.passed is True
    assert found.evidence["better_share"] == 1.0
    low, high = found.evidence["interval"]
    assert 0 < low < found.evidence["improvement"] < high < 1
    assert champion(contest) == found


def test_who_is_lucky_on_a_small_holdout_is_stopped_by_the_champion_s_gate():
    """Twins, asked on 40 rows until one is 5% better by chance: the resamples know."""
    stopped = lucky = 0
    for seed in range(60):
        found = champion(regression(40, challenger=2.0, champion=2.0, seed=seed))
        if found.evidence["improvement"] >= 0.05:
            lucky += 1
            stopped += found.passed is False
    assert lucky >= 10, "chance alone makes winners"
    assert stopped >= 0.5 * lucky
    alone = champion(regression(40, {"confidence": 0.5001}, challenger=2.0, champion=2.0, seed=0))
    assert alone.evidence["confidence"] == 0.5001


def test_a_first_model_has_no_champion_to_beat():
    found = champion(regression(champion=None))
    assert found.passed is None
    assert found.seen == "there is no champion yet"


def test_neighbours_in_time_are_drawn_together_whatever_the_order_of_the_rows():
    n_rows = 1_000
    rows = people(n_rows).with_columns(
        pl.datetime_range(
            pl.datetime(2026, 1, 1), pl.datetime(2026, 12, 31), "1h", eager=True, time_zone="UTC"
        )
        .head(n_rows)
        .alias("at"),
        pl.Series("y", RNG.normal(50, 10, n_rows)),
    )
    spec = spec_of("regression", time="at")
    truth = rows["y"].to_numpy()
    challenger, other = truth + RNG.normal(0, 1, n_rows), truth + RNG.normal(0, 1.1, n_rows)
    found = champion(contest_of(spec, rows, {"prediction": challenger}, {"prediction": other}))
    assert found.evidence["block_rows"] == 10
    mixed = RNG.permutation(n_rows)
    again = contest_of(
        spec, rows[mixed], {"prediction": challenger[mixed]}, {"prediction": other[mixed]}
    )
    assert champion(again).evidence["better_share"] == found.evidence["better_share"]


def test_a_floor_is_measured_by_its_own_metric():
    found = floors(regression(gates={"floors": {"r2": 0.95, "mae": 0.5}}))
    assert found.passed is False
    assert found.seen.startswith("mae 0.8")
    assert [row["verdict"] for row in found.evidence["floors"]] == ["passed", "failed"]


def test_bad_on_one_slice_is_found_though_it_is_better_on_the_whole():
    wanted = [{"column": "town", "values": ["south"]}, {"column": "age", "min": 18, "max": 30}]
    contest = regression(gates={"slices": wanted})
    answer = contest.answers["challenger"]["prediction"]
    south = (contest.holdout["town"] == "south").to_numpy()
    answer[south] += 3 * RNG.normal(0, 1, south.sum())
    assert champion(contest).evidence["challenger"] < 2.3
    found = slices(contest)
    assert found.passed is False
    assert found.seen.startswith(
        f"1 of 2 slices worse than the champion: town south ({south.sum()}"
    )
    assert found.evidence["slices"][1]["verdict"] == "passed"


def test_a_range_takes_its_start_and_leaves_its_end_and_missing_values_are_in_no_slice():
    wanted = [
        {"column": "age", "min": 30, "max": 40, "min_rows": 5},
        {"column": "age", "max": 30, "min_rows": 5},
        {"column": "age", "min": 30, "min_rows": 5},
        {"column": "member", "values": [True], "min_rows": 5},
        {"column": "town", "values": ["west"], "min_rows": 400},
    ]
    contest = regression(40, {"slices": wanted})
    ages = [29] * 10 + [30] * 6 + [39] * 7 + [40] * 5 + [None] * 12
    members = [True] * 9 + [None] * 31
    frame = contest.holdout.with_columns(
        pl.Series("age", ages), pl.Series("member", members, pl.Boolean)
    )
    object.__setattr__(contest, "holdout", frame)
    rows = slices(contest).evidence["slices"]
    assert [row["rows"] for row in rows[:4]] == [13, 10, 18, 9]
    assert [row["missing"] for row in rows[:4]] == [12, 12, 12, 31]
    assert rows[4]["verdict"] == "too_few_rows"


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({"column": "town", "values": ["north", "west"]}, "town north, west"),
        ({"column": "age", "values": [1, 2, 3, 4, 5, 6]}, "age 1, 2, 3, 4 and 2 more"),
        ({"column": "age", "min": 18, "max": 30}, "age 18 to 30"),
        ({"column": "age", "min": 65}, "age from 65"),
        ({"column": "age", "max": 18}, "age below 18"),
        ({"column": "age", "max": 18, "name": "minors"}, "minors"),
    ],
)
def test_a_slice_has_a_name(wanted, name):
    assert name_of(Slice.model_validate(wanted)) == name


def binary(probability, said=None, n_rows=4_000):
    """Outcomes of these chances, and an answer that says them (or `said`)."""
    rows = people(n_rows)
    came = np.where(RNG.random(n_rows) < probability, "yes", "no")
    rows = rows.with_columns(pl.Series("y", came))
    return contest_of(spec_of("binary"), rows, shares(probability if said is None else said))


def test_probabilities_that_come_true_pass_and_those_driven_to_the_ends_fail():
    true = RNG.random(4_000)
    found = calibration(binary(true))
    assert found.passed is True
    assert found.evidence["error"] < 0.04
    assert len(found.evidence["curve"]) == 15
    assert sum(point["rows"] for point in found.evidence["curve"]) == 4_000
    driven = np.where(true >= 0.5, 0.999, 0.001)
    found = calibration(binary(true, driven))
    assert found.passed is False
    assert found.seen.startswith("an expected calibration error of 0.2")
    assert len(found.evidence["curve"]) == 2, "equal predictions are one bin"


def test_few_rows_of_a_calibrated_model_are_few_bins_and_pass():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        chance = rng.random(200)
        curve = curve_of(chance, (rng.random(200) < chance).astype(float))
        assert len(curve) == 2
        assert sum(abs(part.predicted - part.observed) for part in curve) / 2 < 0.1


def test_of_many_classes_the_confidence_in_the_one_that_is_said_counts():
    n_rows = 900
    rows = people(n_rows).with_columns(pl.Series("y", RNG.choice(["a", "b", "c"], n_rows)))
    sure = {"prediction": np.full(n_rows, "a"), "probability_a": np.full(n_rows, 0.9)}
    sure |= {"probability_b": np.full(n_rows, 0.05), "probability_c": np.full(n_rows, 0.05)}
    found = calibration(contest_of(spec_of("multiclass"), rows, sure))
    assert found.passed is False
    assert found.evidence["of"] == "the predicted class"
    assert found.evidence["error"] == pytest.approx(0.9 - (rows["y"] == "a").mean())


def test_a_regression_that_says_too_much_on_the_whole_fails():
    contest = regression()
    assert calibration(contest).passed is True
    contest.answers["challenger"]["prediction"][:] += 6
    found = calibration(contest)
    assert found.passed is False
    assert "0.6" in found.seen


def test_after_a_change_of_the_world_the_spread_of_its_few_days_is_no_measure():
    """Half of what was learned is of the old world; the new one hardly varies."""
    contest = regression()
    old = contest.holdout.with_columns(pl.col("y") + 200)
    object.__setattr__(contest, "train", pl.concat([old, contest.holdout]))
    contest.answers["challenger"]["prediction"][:] += 13
    assert contest.truth.std() == pytest.approx(10, rel=0.1)
    assert calibration(contest).passed is True
