"""Noise, missing cells and expectations are tried on the challenger itself, row by row."""

import numpy as np
import polars as pl
import pytest

from include.evergreen.spec import Column
from include.evergreen.stages.training.gates.behaviour import behaviour
from include.evergreen.stages.training.gates.stability import (
    MISSING,
    NOISE,
    stability,
    with_missing,
    with_noise,
)
from tests.unit.stages.training.formulas import chance, contest, label, lifts, number, spec_of

N = 600


def loads(error=1.0):
    """Rows whose target is their load, but for some noise."""
    rows = lifts(N)
    noise = np.random.default_rng(1).normal(0, error, N)
    return rows.with_columns((pl.col("load") + pl.Series(noise)).alias("y"))


def losses(found):
    return {row["what"]: row["loss"] for row in found.evidence["touched"]}


def filled(columns):
    return np.nan_to_num(columns["load"], nan=50.0)


def test_a_smooth_model_is_stable_and_one_that_reads_decimals_is_not():
    smooth = stability(contest(spec_of("regression"), lambda c: number(filled(c)), loads(5)))
    assert smooth.passed is True, smooth.seen
    rows = loads(0).with_columns((pl.col("load") * 10).round().alias("load") / 10)
    rows = rows.with_columns((pl.col("load") * 5 % 1 * 100).alias("y"))
    jagged = stability(
        contest(spec_of("regression"), lambda c: number(filled(c) * 5 % 1 * 100), rows)
    )
    assert jagged.passed is False
    assert losses(jagged)[NOISE] > 0.5


def test_missing_cells_cost_a_model_that_cannot_do_without():
    def worse_without(columns):
        return number(np.nan_to_num(columns["load"], nan=1_000.0))

    found = stability(contest(spec_of("regression"), worse_without, loads()))
    assert found.passed is False
    assert losses(found)[MISSING] > 1
    kept = spec_of("regression", {"stability": {"missing_share": 0}})
    assert set(losses(stability(contest(kept, worse_without, loads())))) == {NOISE}


def test_a_model_of_categories_that_may_not_be_missing_has_nothing_to_touch():
    spec = spec_of("regression", columns={"door": {"type": "category", "values": ["left"]}})
    rows = loads().select("load", pl.lit("left").alias("door"), "y")
    found = stability(contest_of_doors(spec, rows))
    assert found.passed is None


def contest_of_doors(spec, rows):
    made = contest(spec_of("regression"), lambda c: number(filled(c)), loads())
    return type(made)(spec, rows, rows, made.challenger, made.bundle, made.answers)


def test_the_same_noise_comes_twice():
    made = contest(spec_of("regression"), lambda c: number(filled(c)), loads())
    assert stability(made) == stability(made)


def test_noise_stays_what_the_contract_allows():
    random = np.random.default_rng(1)
    numbers = pl.Series("load", [0.0, 50.0, 100.0, None] * 50)
    noisy = with_noise(numbers, Column(type="float", min=0, max=100), 5.0, random)
    assert noisy.min() == 0
    assert noisy.max() == 100
    assert noisy.null_count() == 50
    assert (noisy != numbers).sum() > 90
    whole = with_noise(pl.Series("n", [3, None] * 50), Column(type="integer"), 2.0, random)
    assert whole.dtype == pl.Int64
    assert whole.n_unique() > 3


def test_about_the_share_of_the_cells_goes_missing():
    full = pl.Series("door", ["left"] * 2_000)
    share = with_missing(full, 0.1, np.random.default_rng(1)).null_count() / 2_000
    assert share == pytest.approx(0.1, abs=0.03)


def expecting(task="regression", **wanted):
    return spec_of(task, {"behaviour": [{"name": "it", "expect": "same", **wanted}]})


def seen(found):
    return found.passed, found.evidence["expectations"][0]["violations"]


def test_an_answer_that_may_not_change_is_compared_row_by_row():
    doors = expecting(column="door", set_to=["left", "right"])
    rows = loads()
    blind = contest(doors, lambda c: number(filled(c)), rows)
    assert seen(behaviour(blind)) == (True, 0)

    def minds_right_doors(columns):
        return number(filled(columns) + 9 * (np.array(columns["door"]) == "right"))

    found = behaviour(contest(doors, minds_right_doors, rows))
    assert seen(found) == (False, N)
    worst = found.evidence["expectations"][0]["worst"]
    assert {worst["from"], worst["to"]} == {"left", "right"}
    assert abs(worst["after"] - worst["before"]) == pytest.approx(9, abs=1e-3)
    assert set(worst["row"]) == {"load", "floor", "open"}


def test_a_tolerance_is_in_standard_deviations_of_the_target():
    rows = loads()
    deviation = rows["y"].to_numpy().std()
    minds = lambda c: number(filled(c) + 3 * (np.array(c["open"]) == 1))  # noqa: E731
    allowed = expecting(column="open", set_to=[True, False], tolerance=3.01 / deviation)
    assert behaviour(contest(allowed, minds, rows)).passed is True
    strict = expecting(column="open", set_to=[True, False], tolerance=2.99 / deviation)
    assert behaviour(contest(strict, minds, rows)).passed is False


@pytest.mark.parametrize(
    ("expect", "add", "passed"),
    [
        ("not_lower", 5, True),
        ("not_higher", 5, False),
        ("not_lower", -5, False),
        ("not_higher", -5, True),
    ],
)
def test_a_direction_holds_one_way(expect, add, passed):
    spec = expecting(column="load", add=add, expect=expect)
    assert behaviour(contest(spec, lambda c: number(filled(c)), loads())).passed is passed


def test_what_is_added_stays_inside_the_contract():
    def minds_the_impossible(columns):
        return number(np.where(filled(columns) > 100, -1_000, filled(columns)))

    spec = expecting(column="load", add=50, expect="not_lower")
    assert behaviour(contest(spec, minds_the_impossible, loads())).passed is True


def test_a_direction_over_several_values_is_one_from_each_to_the_next():
    """The row as it is may lie above all of them: that is no violation."""
    rising = expecting(column="load", set_to=[10, 20, 30], expect="not_lower")
    rows = loads()
    assert behaviour(contest(rising, lambda c: number(filled(c)), rows)).passed is True
    dips = lambda c: number(np.where(filled(c) == 20, 0, filled(c)))  # noqa: E731
    found = behaviour(contest(rising, dips, rows))
    assert seen(found) == (False, N)
    worst = found.evidence["expectations"][0]["worst"]
    assert (worst["from"], worst["to"], worst["before"], worst["after"]) == (10, 20, 10, 0)


def test_one_value_is_compared_with_the_row_as_it_is():
    full = expecting(column="load", set_to=[100], expect="not_lower")
    assert behaviour(contest(full, lambda c: number(filled(c)), loads())).passed is True
    empty = expecting(column="load", set_to=[0], expect="not_lower")
    assert behaviour(contest(empty, lambda c: number(filled(c)), loads())).passed is False


def test_rows_without_a_value_are_not_tried():
    rows = loads().with_columns(pl.when(pl.col("floor") > 0).then("load").alias("load"))
    spec = expecting(column="load", add=1, expect="not_lower")
    found = behaviour(contest(spec, lambda c: number(filled(c)), rows))
    assert found.evidence["expectations"][0]["rows"] == (rows["floor"] > 0).sum()
    nobody = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias("load"))
    assert behaviour(contest(spec, lambda c: number(filled(c)), nobody)).passed is None


def test_of_two_classes_the_probability_of_the_second_is_compared():
    rows = lifts(N).with_columns(
        pl.when(pl.col("load") > 50).then(pl.lit("yes")).otherwise(pl.lit("no")).alias("y")
    )
    spec = expecting("binary", column="load", add=20, expect="not_higher", tolerance=0.1)
    found = behaviour(contest(spec, lambda c: chance(filled(c) / 100), rows))
    assert found.passed is False, "0.2 more is beyond a tolerance of 0.1"
    same = expecting("binary", column="load", add=20, tolerance=0.21)
    assert behaviour(contest(same, lambda c: chance(filled(c) / 100), rows)).passed is True


def test_of_many_classes_a_label_that_changes_is_a_violation():
    named = lambda c: np.where(filled(c) < 30, "low", np.where(filled(c) < 70, "middle", "high"))  # noqa: E731
    rows = lifts(N)
    rows = rows.with_columns(pl.Series("y", named({"load": rows["load"].to_numpy()})))
    spec = expecting("multiclass", column="load", add=1)
    found = behaviour(contest(spec, lambda c: label(named(c)), rows))
    moved = rows["load"].is_between(29, 30, closed="left") | rows["load"].is_between(
        69, 70, closed="left"
    )
    assert seen(found) == (False, moved.sum())
    worst = found.evidence["expectations"][0]["worst"]
    assert (worst["before"], worst["after"]) in {("low", "middle"), ("middle", "high")}


def test_an_answer_that_is_no_number_breaks_every_expectation():
    spec = expecting(column="load", set_to=[10], expect="same")
    gone = lambda c: number(np.where(filled(c) == 10, np.nan, filled(c)))  # noqa: E731
    assert seen(behaviour(contest(spec, gone, loads()))) == (False, N)
