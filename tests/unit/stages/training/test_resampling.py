"""The bootstrap finds what is there, leaves what is not, and costs little."""

import math
import time
from functools import partial

import numpy as np
import pytest

from include.evergreen.policy.metrics import KNOWN
from include.evergreen.stages.training import resampling
from include.evergreen.stages.training.block_sums import MEANS
from include.evergreen.stages.training.resampling import (
    SCORED_RESAMPLES,
    block_length,
    interval,
    paired_improvements,
    resampled_scores,
)
from include.evergreen.stages.training.scoring import score, value_of

CLASSES = ("no", "yes")


def numbers(rng, n, spread=1.0):
    """Truth, and what a model says that errs by `spread`."""
    truth = rng.normal(10.0, 3.0, n)
    return truth, {"prediction": truth + rng.normal(0.0, spread, n)}


def classes(rng, n, skill):
    """Labels, and what a model of this skill says of them."""
    truth = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(skill * (truth * 2 - 1) + rng.normal(0.0, 1.0, n))))
    labels = np.array(CLASSES, dtype=object)
    answer = {
        "prediction": labels[(p > 0.5).astype(int)],
        "probability_no": 1 - p,
        "probability_yes": p,
    }
    return labels[truth], answer


def red_noise(rng, n, memory):
    """Errors of which each is like the one before."""
    shocks = rng.normal(0.0, math.sqrt(1 - memory**2), n)
    errors = np.empty(n)
    errors[0] = rng.normal()
    for i in range(1, n):
        errors[i] = memory * errors[i - 1] + shocks[i]
    return errors


@pytest.mark.parametrize(
    "metric", ["rmse", "mae", "mape", "r2", "neg_root_mean_squared_error", "neg_max_error"]
)
def test_a_better_regression_is_better_in_nearly_every_resample_whichever_way_is_up(metric):
    rng = np.random.default_rng(1)
    truth, worse = numbers(rng, 600, 2.0)
    better = {"prediction": truth + rng.normal(0.0, 1.0, 600)}
    found = paired_improvements(metric, truth, worse, better, block=8, seed=3)
    assert found.share_above_zero > 0.97
    assert found.interval(0.9)[0] > 0
    back = paired_improvements(metric, truth, better, worse, block=8, seed=3)
    np.testing.assert_array_equal(back.values, -found.values)


@pytest.mark.parametrize(
    "metric", ["accuracy", "log_loss", "brier", "roc_auc", "f1", "matthews_corrcoef"]
)
def test_a_better_classifier_is_better_in_nearly_every_resample(metric):
    truth, better = classes(np.random.default_rng(1), 500, 2.0)
    same, worse = classes(np.random.default_rng(1), 500, 0.3)
    np.testing.assert_array_equal(truth, same)
    found = paired_improvements(metric, truth, worse, better, CLASSES, block=1, seed=3)
    assert found.share_above_zero > 0.99
    assert found.undefined == 0


@pytest.mark.parametrize(("block", "memory"), [(1, 0.0), (7, 0.0), (7, 0.4)])
def test_pure_noise_is_taken_for_a_win_about_as_often_as_the_confidence_says(block, memory):
    won = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth = np.zeros(343)
        one, other = ({"prediction": red_noise(rng, 343, memory)} for _ in range(2))
        found = paired_improvements(
            "rmse", truth, one, other, block=block, seed=seed, resamples=200
        )
        won += found.share_above_zero >= 0.9
    assert 0.06 <= won / 300 <= 0.15


@pytest.mark.parametrize("metric", ["rmse", "r2", "neg_median_absolute_error"])
def test_a_tie_is_zero_in_every_resample_and_no_win(metric):
    truth, answer = numbers(np.random.default_rng(1), 400)
    found = paired_improvements(metric, truth, answer, dict(answer), block=7, seed=3)
    assert set(found.values.tolist()) == {0.0}
    assert found.share_above_zero == 0.0


def test_errors_that_resemble_their_neighbours_widen_the_interval():
    rng = np.random.default_rng(5)
    truth = np.zeros(2_000)
    answer = {"prediction": red_noise(rng, 2_000, 0.9)}
    widths = {}
    for block in (1, block_length(2_000, in_time=True)):
        low, high = interval("mae", truth, answer, confidence=0.9, block=block, seed=3)
        assert low < score("mae", truth, answer) < high
        widths[block] = high - low
    assert block_length(2_000, in_time=True) == 13
    assert widths[13] > 1.8 * widths[1]


@pytest.mark.parametrize("block", [1, 7, 400, 1_000])
@pytest.mark.parametrize("metric", [*MEANS, "roc_auc"])
def test_sums_over_blocks_are_what_scoring_each_resample_gives(metric, block, monkeypatch):
    rng, of_classes = np.random.default_rng(1), KNOWN[metric].tasks != ("regression",)
    truth, answer = classes(rng, 400, 1.0) if of_classes else numbers(rng, 400)
    known = (*CLASSES, "never")[: 3 if metric == "macro_f1" else 2] if of_classes else ()

    def found():
        return resampled_scores(metric, truth, answer, known, block=block, seed=3, resamples=20)

    fast = found()
    monkeypatch.setattr(resampling, "MEANS", {})
    monkeypatch.setattr(resampling, "_measure", lambda name, of: (of, partial(value_of, name)))
    np.testing.assert_allclose(fast.values, found().values, rtol=1e-9)
    assert len(fast.values) == 20


def test_the_same_seed_draws_the_same_and_another_does_not():
    truth, answer = numbers(np.random.default_rng(1), 400)
    one, same, other = (
        resampled_scores("mae", truth, answer, block=7, seed=seed).values for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_resamples_on_which_a_metric_is_undefined_are_counted_and_nobodys():
    labels = np.array(["no"] * 11 + ["yes"], dtype=object)
    p = np.array([0.1] * 11 + [0.9])
    good = {"prediction": labels, "probability_no": 1 - p, "probability_yes": p}
    bad = {"prediction": labels, "probability_no": p, "probability_yes": 1 - p}
    found = paired_improvements("roc_auc", labels, bad, good, CLASSES, block=1, seed=3)
    assert found.undefined > 50
    assert len(found.values) + found.undefined == SCORED_RESAMPLES
    assert (found.values > 0).all()
    assert found.share_above_zero == len(found.values) / SCORED_RESAMPLES


@pytest.mark.parametrize("metric", ["rmse", "r2", "neg_median_absolute_error"])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_answer_that_is_no_number_leaves_no_resample(metric, bad):
    truth, answer = numbers(np.random.default_rng(1), 400)
    broken = {"prediction": np.append(answer["prediction"][:-1], bad)}
    found = paired_improvements(metric, truth, answer, broken, block=7, seed=3)
    assert not len(found.values)
    assert found.undefined == 1_000
    assert found.share_above_zero == 0.0
    assert all(math.isnan(end) for end in found.interval(0.9))


def test_no_rows_leave_no_resample():
    nothing = {"prediction": np.array([])}
    found = paired_improvements("rmse", np.array([]), nothing, nothing, block=1, seed=3)
    assert found.share_above_zero == 0.0
    assert found.n_rows == 0


def test_what_has_to_be_scored_is_scored_on_a_bounded_number_of_rows_and_resamples():
    truth, answer = numbers(np.random.default_rng(1), 30_000)
    found = resampled_scores("explained_variance", truth, answer, block=31, seed=3)
    assert found.n_rows == 5_000
    assert len(found.values) == SCORED_RESAMPLES


def test_many_rows_are_drawn_in_longer_blocks():
    truth, answer = numbers(np.random.default_rng(1), 50_000)
    assert resampled_scores("mae", truth, answer, block=1, seed=3, resamples=5).block == 3
    assert block_length(50_000, in_time=False) == 1


@pytest.mark.parametrize(("in_time", "at_most_s"), [(True, 0.1), (False, 0.5)])
def test_a_thousand_resamples_of_five_thousand_rows_take_no_time(in_time, at_most_s):
    rng = np.random.default_rng(1)
    truth, one = numbers(rng, 5_000)
    other = {"prediction": truth + rng.normal(0.0, 1.0, 5_000)}
    block = block_length(5_000, in_time=in_time)
    took = []
    for _ in range(5):
        started = time.process_time()
        paired_improvements("rmse", truth, one, other, block=block, seed=3)
        took.append(time.process_time() - started)
    assert min(took) < at_most_s


def test_r2_on_a_resample_without_any_spread_is_undefined():
    truth = np.array([5.0] * 11 + [9.0])
    found = resampled_scores("r2", truth, {"prediction": truth + 0.5}, block=1, seed=3)
    assert 200 < found.undefined < 500, "a third of the resamples draws the twelfth row never"
