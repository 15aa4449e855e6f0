"""A step follows only on enough evidence; a broken version goes at once, bad luck does not."""

import math

import numpy as np
import pytest

from include.evergreen.policy.rollout.canary import CanaryRules, Elapsed, decide_step
from include.evergreen.policy.rollout.evidence import Observed

RULES = CanaryRules(
    min_requests=50,
    max_error_increase=0.01,
    max_p99_ratio=2.0,
    max_prediction_shift=0.5,
    deadline_s=3_600.0,
)
OVER = Elapsed(in_step_s=60.0, window_s=60.0, in_all_s=300.0)
EARLY = Elapsed(in_step_s=5.0, window_s=60.0, in_all_s=5.0)
LATE = Elapsed(in_step_s=60.0, window_s=60.0, in_all_s=3_600.0)
OLD = Observed(1_000, 0, 10.0)


def word(new, *, old=OLD, shift=0.1, elapsed=OVER, slow=None):
    return decided(new, old=old, shift=shift, elapsed=elapsed, slow=slow).word


def decided(new, *, old=OLD, shift=0.1, elapsed=OVER, slow=None):
    """Where nothing else is said, a p99 that is too high is all requests'."""
    if slow is None:
        slow = new.requests if new.p99_ms is not None and new.p99_ms > 20 else 0
    return decide_step(old, new, shift, RULES, elapsed, slow=slow)


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (Observed(50, 0, 20.0), OLD, "advance"),  # exactly as many, exactly as slow as allowed
        (Observed(49, 0, 20.0), OLD, "not_yet"),
        (Observed(0, 0), OLD, "not_yet"),
        (Observed(100, 1, 10.0), OLD, "advance"),  # exactly the increase
        (Observed(99, 1, 10.0), OLD, "not_yet"),  # more, but it may be chance
        (Observed(100, 3, 10.0), OLD, "not_yet"),
        (Observed(100, 6, 10.0), OLD, "abort"),
        (Observed(100, 6, 10.0), Observed(1_000, 60, 10.0), "advance"),  # the old one does, too
        (Observed(1_000, 0, 20.1), OLD, "abort"),
        (Observed(100, 0, 20.1), OLD, "abort"),
        (Observed(50, 0, 500.0), OLD, "abort"),
        (Observed(100, 0, None), OLD, "not_yet"),
        (Observed(100, 0, math.nan), OLD, "not_yet"),
        (Observed(100, 0, math.inf), OLD, "abort"),
        (Observed(100, 0, 10.0), Observed(1_000, 0, None), "not_yet"),
        (Observed(100, 0, 10.0), Observed(1_000, 0, math.nan), "not_yet"),
        (Observed(100, 0, 10.0), Observed(0, 0, 10.0), "not_yet"),  # nothing to compare with
        (Observed(100, 50, 10.0), Observed(1, 1, 10.0), "not_yet"),  # one failure excuses nobody
        (Observed(100, 0, 10.0), Observed(49, 0, 10.0), "not_yet"),
        (Observed(100, 0, 50.0), Observed(49, 0, 10.0), "not_yet"),
        (Observed(100, 0, 10.0), Observed(50, 0, 10.0), "advance"),
    ],
)
def test_a_step_that_is_over_is_judged_by_what_was_seen(new, old, expected):
    assert word(new, old=old) == expected


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (0.0, "advance"),
        (0.5, "advance"),
        (0.501, "abort"),
        (math.inf, "abort"),
        (None, "not_yet"),
        (math.nan, "not_yet"),
    ],
)
def test_predictions_may_shift_so_far_and_an_unknown_shift_is_no_pass(shift, expected):
    assert word(Observed(100, 0, 10.0), shift=shift) == expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (Observed(1_000, 0, 10.0), "not_yet"),  # however good
        (Observed(1_000, 0, 500.0), "not_yet"),
        (Observed(5, 1), "not_yet"),
        (Observed(5, 2), "abort"),
        (Observed(3, 3), "abort"),
        (Observed(1, 1), "not_yet"),
    ],
)
def test_before_the_window_is_over_only_failures_beyond_chance_end_it(new, expected):
    assert word(new, elapsed=EARLY) == expected


def test_a_champion_that_answered_nothing_excuses_only_a_few_failures():
    nothing = Observed(0, 0)
    assert word(Observed(4, 4), old=nothing, elapsed=EARLY) == "not_yet"
    assert word(Observed(12, 12), old=nothing, elapsed=EARLY) == "abort"


@pytest.mark.parametrize(
    ("requests", "slow", "expected"),
    [
        (50, 0, "not_yet"),  # the histogram says so, and no request surely does
        (50, 1, "not_yet"),  # the p99 of fifty is the slowest one's
        (50, 3, "not_yet"),
        (50, 4, "abort"),
        (1_000, 18, "not_yet"),
        (1_000, 20, "abort"),
    ],
)
def test_a_high_p99_that_may_be_chance_is_not_yet(requests, slow, expected):
    assert word(Observed(requests, 0, 20.1), slow=slow) == expected
    assert word(Observed(requests, 0, 19.9), slow=slow) == "advance"


def test_a_version_as_fast_as_the_old_one_is_seldom_sent_away_for_chance():
    aborted = 0
    for seed in range(500):
        old, new = np.random.default_rng(seed).pareto(2.0, (2, 150)) + 1
        p99, slower = np.percentile(old, 99), np.percentile(new, 99)
        seen = Observed(150, 0, float(p99)), Observed(150, 0, float(slower))
        slow = int((new > RULES.max_p99_ratio * p99).sum())
        aborted += word(seen[1], old=seen[0], slow=slow) == "abort"
    assert aborted / 500 < 0.01


@pytest.mark.parametrize(
    ("new", "shift"),
    [
        (Observed(0, 0), None),
        (Observed(49, 0, 10.0), 0.1),
        (Observed(99, 1, 10.0), 0.1),
        (Observed(100, 0, None), 0.1),
        (Observed(100, 0, 10.0), math.nan),
        (Observed(100, 0, 10.0), 0.1),  # it would have advanced a moment earlier
    ],
)
def test_after_the_deadline_the_answer_is_no(new, shift):
    verdict = decided(new, shift=shift, elapsed=LATE)
    assert verdict.word == "abort"
    assert verdict.reason.startswith("the deadline of 3600 s for all steps is over after 3600 s: ")


def test_clocks_that_are_no_number_advance_nothing():
    good = Observed(100, 0, 10.0)
    assert word(good, elapsed=Elapsed(math.nan, 60.0, 300.0)) == "not_yet"
    assert word(good, elapsed=Elapsed(60.0, 60.0, math.nan)) == "abort"


@pytest.mark.parametrize(
    ("new", "shift", "elapsed", "reason"),
    [
        (
            Observed(100, 0, 15.0),
            0.1,
            OVER,
            (
                "0 of 100 failed (0), of the old version 0 of 1,000 failed (0); p99 15 ms against "
                "10 ms; predictions shifted by 0.1, 0.5 allowed"
            ),
        ),
        (
            Observed(8, 0, 15.0),
            None,
            EARLY,
            (
                "5 of 60 s of the window are over; the new version was asked 8 times, 50 are "
                "needed; the shift of the predictions is not known (None)"
            ),
        ),
        (
            Observed(20, 10),
            None,
            EARLY,
            (
                "the new version fails: 10 of 20 failed (0.5); of the old one 0 of 1,000 failed "
                "(0), and an increase of 0.01 is allowed. It is not chance."
            ),
        ),
        (
            Observed(200, 0, 100.0),
            0.9,
            OVER,
            (
                "p99 100 ms against 10 ms, at most 2 times as much is allowed: 200 requests took "
                "longer; the predictions are 0.9 away from the old version's, 0.5 are allowed"
            ),
        ),
    ],
)
def test_the_reason_has_the_numbers(new, shift, elapsed, reason):
    assert decided(new, shift=shift, elapsed=elapsed).reason == reason


@pytest.mark.parametrize(("share", "most"), [(1.0, 3), (0.5, 20), (0.2, 40)])
def test_a_broken_version_serves_few_requests(share, most):
    for seed in range(50):
        failed = np.cumsum(np.random.default_rng(seed).random(200) < share)
        served = next(
            n
            for n, failures in enumerate(failed.tolist(), 1)
            if word(Observed(n, failures), elapsed=EARLY) == "abort"
        )
        assert served <= most


def test_a_version_as_good_as_the_old_one_is_seldom_sent_away_at_any_of_a_thousand_looks():
    aborted = 0
    for seed in range(200):
        draws = np.random.default_rng(seed).random((2, 1_000)) < 0.01
        failed = np.cumsum(draws, axis=1)
        aborted += any(
            word(Observed(n, new), old=Observed(9 * n, 9 * old), elapsed=EARLY) == "abort"
            for n, (old, new) in enumerate(failed.T.tolist(), 1)
        )
    assert aborted / 200 < 0.1
