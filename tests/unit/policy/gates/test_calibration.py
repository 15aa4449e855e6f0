"""A prediction means what it says, within a limit."""

import math

import pytest

from include.evergreen.policy.gates.calibration import (
    Bin,
    expected_calibration_error,
    mean_unbiased,
    probabilities_calibrated,
)


def test_the_error_is_the_mean_distance_by_rows():
    curve = [Bin(0.1, 0.2, 300), Bin(0.9, 0.6, 100)]
    assert expected_calibration_error(curve) == pytest.approx((0.1 * 300 + 0.3 * 100) / 400)
    assert math.isnan(expected_calibration_error([]))


@pytest.mark.parametrize(
    ("observed", "passed"), [(0.5, True), (0.375, True), (0.37, False), (math.nan, False)]
)
def test_probabilities_are_held_to_the_limit(observed, passed):
    found = probabilities_calibrated([Bin(0.5, observed, 100)], 0.125, "the class yes")
    assert found.passed is passed


def test_no_rows_are_no_pass():
    assert probabilities_calibrated([], 0.1, "x").passed is False
    assert mean_unbiased([], 1.0, 0.5).passed is False


@pytest.mark.parametrize(("mean", "passed"), [(10.0, True), (15.0, True), (4.9, False)])
def test_a_mean_may_be_off_by_a_share_of_the_spread(mean, passed):
    found = mean_unbiased([Bin(mean, 10.0, 100)], 10.0, 0.5)
    assert found.passed is passed
    assert found.evidence["mean_target"] == 10.0


def test_a_target_of_one_value_has_no_spread_to_measure_by():
    assert mean_unbiased([Bin(1.0, 1.0, 100)], 0.0, 0.5).passed is None
