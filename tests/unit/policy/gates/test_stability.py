"""A little noise may cost a little."""

import math

import pytest

from include.evergreen.policy.gates.stability import check_stability


@pytest.mark.parametrize(
    ("untouched", "naive", "touched", "passed"),
    [
        (40.0, 50.0, 40.0, True),
        (40.0, 50.0, 39.0, True),  # better by luck
        (40.0, 50.0, 48.0, True),  # exactly the limit, of the error itself
        (40.0, 50.0, 48.1, False),
        (10.0, 50.0, 18.0, True),  # exactly the limit, of the 40 that were gained
        (10.0, 50.0, 18.1, False),
        (0.0, 50.0, 10.0, True),
        (0.0, 50.0, 10.1, False),
        (60.0, 50.0, 72.0, True),  # nothing was gained
        (60.0, 50.0, 72.1, False),
        (0.0, 0.0, 0.0, True),
        (0.0, 0.0, 0.1, False),
        (10.0, math.nan, 12.1, False),
        (10.0, 50.0, math.nan, False),  # no number never passes
        (math.nan, 50.0, 10.0, False),
        (10.0, 50.0, math.inf, False),
    ],
)
def test_an_error_may_grow_by_the_limit(untouched, naive, touched, passed):
    found = check_stability(untouched, naive, {"noise": touched}, max_loss=0.2)
    assert found.passed is passed, found.seen


def test_the_worse_of_two_counts_and_both_are_told():
    found = check_stability(10, 20, {"noise": 10.5, "missing cells": 15}, max_loss=0.2)
    assert found.passed is False
    assert found.seen == (
        "with noise the error grows by 5.0% (from 10 to 10.5); "
        "with missing cells the error grows by 50.0% (from 10 to 15)"
    )
    assert found.required == (
        "an error that grows by at most 20%, of itself or of what was gained on the naive "
        "baseline (gates.stability.max_loss)"
    )
    assert [row["loss"] for row in found.evidence["touched"]] == pytest.approx([0.05, 0.5])


def test_what_is_no_number_is_told_as_such():
    found = check_stability(10, 50, {"noise": math.nan}, max_loss=0.2)
    assert found.seen == "with noise the error is no number (nan)"


def test_nothing_to_touch_is_not_applicable():
    found = check_stability(10, 50, {}, max_loss=0.2)
    assert found.passed is None
    assert found.seen == "no numeric and no nullable column to touch"
