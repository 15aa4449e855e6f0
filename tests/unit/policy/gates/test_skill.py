"""One scale for errors, for metrics that end at 1, and for scikit-learn's negated errors."""

import math

import pytest

from include.evergreen.policy.gates.skill import error_of, skill
from include.evergreen.policy.metrics import KNOWN


@pytest.mark.parametrize(
    ("metric", "value", "error"),
    [
        ("rmse", 3.0, 3.0),
        ("log_loss", 0.2, 0.2),
        ("roc_auc", 0.9, 0.1),
        ("r2", -1.5, 2.5),
        ("neg_mean_absolute_error", -4.0, 4.0),
    ],
)
def test_an_error_is_the_distance_from_a_perfect_model(metric, value, error):
    assert error_of(value, KNOWN[metric].best) == pytest.approx(error)


@pytest.mark.parametrize(
    ("error", "naive", "expected"), [(0, 2, 1.0), (2, 2, 0.0), (3, 2, -0.5), (1, 2, 0.5)]
)
def test_skill_is_the_share_of_the_naive_error_that_is_gone(error, naive, expected):
    assert skill(error, naive) == expected


def test_what_is_no_number_stays_none():
    assert math.isnan(error_of(math.nan, 1.0))
    assert math.isnan(skill(1.0, 0.0))
    assert math.isnan(skill(1.0, math.nan))
