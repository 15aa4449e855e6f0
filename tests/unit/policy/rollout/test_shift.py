"""Both distances are SciPy's, and what cannot be compared is no number."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from include.evergreen.policy.rollout.shift import label_shift, numeric_shift


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n", "m"), [(1_000, 1_000), (50, 3), (2, 700)])
def test_the_shift_of_numbers_is_wasserstein_in_standard_deviations(seed, n, m):
    rng = np.random.default_rng(seed)
    old, new = rng.normal(100.0, 7.0, n), rng.gamma(2.0, 50.0, m).round(0)
    expected = stats.wasserstein_distance(old, new) / old.std()
    assert numeric_shift(old.tolist(), new.tolist()) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 4e307])
def test_the_shift_has_no_unit(scale):
    old, new = [1.0 * scale, 3.0 * scale] * 2, [2.0 * scale, 4.0 * scale]
    assert numeric_shift(old, new) == pytest.approx(1.0)
    assert numeric_shift(old, old) == pytest.approx(0.0)


def test_a_challenger_beyond_all_numbers_is_no_pass():
    assert not numeric_shift([1e-9, 2e-9], [1e308, 1.1e308]) <= 1e9


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [1.0], math.nan),
        ([1.0], [], math.nan),
        ([1.0, math.nan], [1.0], math.nan),
        ([1.0, 2.0], [math.inf], math.nan),
        ([5.0, 5.0], [5.0], 0.0),
        ([5.0, 5.0], [5.0, 5.1], math.inf),
        ([0.0], [0.0], 0.0),
    ],
)
def test_what_has_no_spread_or_is_no_number_has_no_finite_shift(old, new, expected):
    assert numeric_shift(old, new) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"a": 30, "b": 70}, {"a": 35, "b": 65}),
        ({"a": 30, "b": 70}, {"b": 7, "c": 3}),
        ({"a": 1, "b": 0}, {"a": 0, "b": 9}),
        ({"a": 10, "b": 20, "c": 30}, {"a": 1, "b": 2, "c": 3}),
    ],
)
def test_the_shift_of_labels_is_jensen_shannons_distance(old, new):
    labels = sorted(old.keys() | new.keys())
    shares = [[side.get(label, 0) for label in labels] for side in (old, new)]
    assert label_shift(old, new) == pytest.approx(jensenshannon(*shares), abs=1e-8)


def test_labels_with_nothing_in_common_are_furthest_apart_and_none_are_no_number():
    assert label_shift({"a": 5}, {"b": 5}) == pytest.approx(math.sqrt(math.log(2)))
    assert math.isnan(label_shift({}, {"a": 1}))
    assert math.isnan(label_shift({"a": 1}, {"a": 0}))
    with pytest.raises(ValueError, match="cannot be counted below 0"):
        label_shift({"a": -1}, {"a": 1})
