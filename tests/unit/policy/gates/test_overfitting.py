"""A gap is forgiven where the skill is kept; a memoriser keeps none."""

import math

import pytest

from include.evergreen.policy.gates.overfitting import check_overfitting


def check(learned, holdout, naive=(100.0, 100.0), max_gap=10.0, min_kept_skill=0.25):
    return check_overfitting(
        (learned, naive[0]),
        (holdout, naive[1]),
        max_gap=max_gap,
        min_kept_skill=min_kept_skill,
    )


@pytest.mark.parametrize(
    ("learned", "holdout", "passed"),
    [
        (20.0, 25.0, True),
        (30.0, 20.0, True),  # better on the holdout
        (9.5, 95.0, True),  # exactly the gap, though little is kept
        (9.4, 95.0, False),
        (0.01, 35.0, True),  # a boosted ensemble: a gap of 3,500, and 65% kept
        (0.0, 35.0, True),
        (0.0, 75.0, True),  # exactly a quarter kept
        (0.0, 75.1, False),
        (0.0, 120.0, False),  # worse than naive on the holdout
        (0.0, 0.0, True),  # perfect on both
        (110.0, 120.0, True),  # it learned nothing by heart
        (math.nan, 20.0, False),
        (20.0, math.nan, False),
        (20.0, math.inf, False),
    ],
)
def test_it_takes_a_gap_and_a_lost_skill(learned, holdout, passed):
    found = check(learned, holdout)
    assert found.passed is passed, found.seen


def test_a_harder_holdout_is_no_memory():
    """Everything is twice as far apart there, for the naive baseline, too."""
    assert check(2.0, 80.0, naive=(100.0, 200.0)).passed is True
    assert check(2.0, 80.0, naive=(100.0, 100.0), min_kept_skill=0.21).passed is False


def test_the_gap_and_what_is_kept_are_told():
    found = check(0.0, 90.0)
    assert found.seen == (
        "the error on the holdout is infinitely many times that on the rows learned from "
        "(90 against 0), and 10% of the skill is kept"
    )
    assert "at most 10 times" in found.required
    assert "at least 25% of the skill there kept" in found.required
    assert found.evidence["kept_skill"] == pytest.approx(0.1)


def test_an_error_that_is_no_number_is_told():
    assert check(math.nan, 20.0).seen == "an error that is no number (learned nan, holdout 20)"


def test_a_naive_baseline_that_is_perfect_leaves_no_skill_to_keep():
    assert check(0.0, 5.0, naive=(100.0, 0.0)).passed is False
    assert check(5.0, 5.0, naive=(0.0, 0.0)).passed is True
