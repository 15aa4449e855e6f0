"""The better version wins, and to look at every label does not make one up."""

import math

import numpy as np
import pytest
from scipy import stats

from include.evergreen.policy.rollout.ab import AbRules, Losses, decide_ab, t_quantile

RULES = AbRules(min_labels=200, confidence=0.95, deadline_s=86_400.0)
EARLY, LATE = 60.0, 86_400.0


def word(old, new, elapsed_s=EARLY):
    return decide_ab(old, new, RULES, elapsed_s=elapsed_s).word


@pytest.mark.parametrize(
    ("new", "early", "late"),
    [
        (Losses(200, 0.5, 1.0), "challenger", "challenger"),  # five standard errors
        (Losses(199, 0.0, 1.0), "not_yet", "champion"),  # too few labels, however good
        (Losses(200, 0.75, 1.0), "not_yet", "challenger"),  # 2.5: not at one look of many
        (Losses(200, 0.85, 1.0), "not_yet", "champion"),  # 1.5
        (Losses(200, 1.0, 1.0), "not_yet", "champion"),  # a tie
        (Losses(200, 1.25, 1.0), "not_yet", "champion"),
        (Losses(200, 1.5, 1.0), "champion", "champion"),
        (Losses(0, math.nan, math.nan), "not_yet", "champion"),
        (Losses(200, math.nan, 1.0), "not_yet", "champion"),
        (Losses(200, -math.inf, 1.0), "not_yet", "champion"),
        (Losses(200, 0.5, math.inf), "not_yet", "champion"),
        (Losses(200, 0.5, math.nan), "not_yet", "champion"),
    ],
)
def test_only_what_is_surely_better_wins(new, early, late):
    old = Losses(200, 1.0, 1.0)
    assert word(old, new) == early
    assert word(old, new, LATE) == late
    assert word(old, new, math.nan) == late, "a clock that is no number is past its deadline"


def test_a_loss_that_is_no_number_is_told_as_that():
    verdict = decide_ab(Losses(200, 1.0, 1.0), Losses(200, math.nan, 1.0), RULES, elapsed_s=EARLY)
    assert verdict.reason.startswith("a loss is no number (")


def test_the_version_with_few_labels_may_be_either():
    assert word(Losses(199, 1.0, 1.0), Losses(5_000, 0.0, 1.0)) == "not_yet"


def test_losses_that_never_vary_are_compared_as_they_are():
    old = Losses.of([1.0] * 200)
    assert word(old, Losses.of([0.5] * 200)) == "challenger"
    assert word(old, Losses.of([1.0] * 200), LATE) == "champion"


def test_at_the_deadline_the_interval_is_welchs():
    rng = np.random.default_rng(1)
    old, new = rng.gamma(2.0, 1.0, 300), rng.gamma(2.0, 0.7, 220)
    found = decide_ab(Losses.of(old.tolist()), Losses.of(new.tolist()), RULES, elapsed_s=LATE)
    expected = stats.ttest_ind(old, new, equal_var=False).confidence_interval(0.975)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-6)
    assert found.difference == pytest.approx(old.mean() - new.mean())
    assert found.low < found.difference < found.high


@pytest.mark.parametrize("probability", [0.9, 0.975, 0.9875, 0.995])
@pytest.mark.parametrize("degrees", [9.0, 20.0, 1_000.0, math.inf])
def test_the_quantile_is_students(probability, degrees):
    expected = (
        stats.t.ppf(probability, degrees) if degrees < math.inf else stats.norm.ppf(probability)
    )
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=2e-3)
    assert t_quantile(1 - probability, degrees) == pytest.approx(-expected, rel=2e-3)


def looked_at(seed, gain):
    """The word of the first of many looks that has one, the deadline's at the latest."""
    rng = np.random.default_rng(seed)
    sides = rng.normal(0.0, 1.0, (2, 4_000)) - np.array([[0.0], [gain]])
    for n in (*range(200, 4_000, 100), 4_000):
        old, new = (Losses(n, side[:n].mean(), side[:n].var(ddof=1)) for side in sides)
        found = word(old, new, LATE if n == 4_000 else EARLY)
        if found != "not_yet":
            return found, n
    raise AssertionError("the deadline has no word")


def test_two_equal_versions_asked_forty_times_are_told_apart_as_seldom_as_promised():
    words = [looked_at(seed, 0.0) for seed in range(400)]
    wins = sum(found == "challenger" for found, _ in words)
    losses = sum(found == "champion" and n < 4_000 for found, n in words)
    assert (wins + losses) / 400 <= 0.05


def test_a_better_version_wins_early():
    words = [looked_at(seed, 0.3) for seed in range(50)]
    assert {found for found, _ in words} == {"challenger"}
    assert np.median([n for _, n in words]) <= 600


def test_a_summary_is_the_samples():
    found = Losses.of([1.0, 2.0, 4.0])
    assert (found.n, found.mean, found.variance) == pytest.approx((3, 7 / 3, 7 / 3))
    assert math.isnan(Losses.of([1.0]).variance)
    assert math.isnan(Losses.of([]).mean)
    assert not math.isfinite(Losses.of([1e200, 0.0]).variance)


def test_the_reason_has_the_numbers():
    old, new = Losses(250, 1.0, 1.0), Losses(210, 1.02, 1.0)
    early = decide_ab(old, new, RULES, elapsed_s=EARLY).reason
    assert early == (
        "neither version is surely better (mean loss 1.02 of 210 answers against 1 of 250; "
        "difference -0.02, between -0.327 and 0.287)"
    )
    late = decide_ab(old, new, RULES, elapsed_s=LATE).reason
    assert late.startswith("the deadline of 86400 s is over: neither version is surely better (")
    few = decide_ab(old, Losses(3, 0.1, 0.1), RULES, elapsed_s=EARLY).reason
    assert few.startswith("3 labels of a version, 200 are needed (")
