"""Which service levels a version breaks that was just released, and what says too little."""

from __future__ import annotations

import math

import pytest

from include.evergreen.policy.watching import (
    MIN_LATENCIES,
    MIN_REQUESTS,
    SILENT_LOOKS,
    WRONG_LOOKS,
    Counters,
    Watched,
    WatchRules,
    what_was_seen,
    why_broken,
)

RULES = WatchRules(max_error_share=0.05, max_p99_ms=100)


def counters(requests: int, failures: int = 0, slow: int = 0) -> Counters:
    """So many within 10 ms, and the slow ones within a second."""
    latencies = {"0.01": requests - slow, "1.0": requests, "+Inf": requests}
    return Counters(requests, failures, latencies)


@pytest.mark.parametrize(
    ("watched", "broken"),
    [
        (Watched(), ""),
        (Watched(ended=True), "it ended"),
        (Watched(silent_looks=SILENT_LOOKS - 1), ""),
        (Watched(silent_looks=SILENT_LOOKS), "it did not answer /ping 3 times in a row"),
        (Watched(wrong_looks=WRONG_LOOKS - 1, wrong="x"), ""),
        (Watched(wrong_looks=WRONG_LOOKS, wrong="x"), "its golden rows are answered otherwise"),
        (Watched(counters=counters(MIN_REQUESTS - 1, MIN_REQUESTS - 1)), ""),
        (Watched(counters=counters(MIN_REQUESTS, 1)), ""),  # 5% is allowed
        (Watched(counters=counters(MIN_REQUESTS, 2)), "2 of 20 requests failed (10.00%); the wat"),
        (Watched(counters=counters(MIN_LATENCIES - 1, slow=50)), ""),
        (Watched(counters=counters(MIN_LATENCIES, slow=1)), ""),
        (Watched(counters=counters(MIN_LATENCIES, slow=3)), "p99 of 100 requests is 670.0 ms"),
    ],
)
def test_a_broken_level_is_told_with_its_figures(watched, broken):
    said = why_broken(watched, RULES)
    assert said.startswith(broken)
    assert bool(said) == bool(broken)


def test_only_what_came_since_counts_and_all_of_it_after_a_new_start():
    before, after = counters(1000, 10, 20), counters(1200, 10, 25)
    assert after.since(before) == Counters(200, 0, {"0.01": 195, "1.0": 200, "+Inf": 200})
    assert counters(7).since(before) == counters(7)
    assert Counters.from_json(after.as_json()) == after


def test_the_percentile_of_nothing_is_none_and_beyond_the_last_bound_is_that_bound():
    assert math.isnan(Counters().p99_ms)
    assert Counters(10, 0, {"1.0": 0, "+Inf": 10}).p99_ms == 1000


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        (0, "it answers; 0 requests are too few to say more"),
        (MIN_REQUESTS, "0 of 20 requests failed"),
        (MIN_LATENCIES, "0 of 100 requests failed, p99 9.9 ms of 100 ms"),
    ],
)
def test_a_watch_that_passed_says_what_it_saw(requests, words):
    assert what_was_seen(Watched(counters=counters(requests)), RULES) == words
