"""A release is taken back on evidence, and a quiet hour is none."""

import math

import pytest

from include.evergreen.policy.rollout.evidence import Observed
from include.evergreen.policy.rollout.watch import Probes, WatchRules, decide_watch

RULES = WatchRules(seconds=60.0, max_error_share=0.01, max_p99_ms=100.0)
WELL = Probes(asked=12, failed_in_a_row=0)


def word(seen, *, probes=WELL, rules=RULES, elapsed_s=60.0, slow=0):
    return decide_watch(seen, probes, rules, elapsed_s=elapsed_s, slow=slow).word


@pytest.mark.parametrize(
    ("seen", "during", "after"),
    [
        (Observed(0, 0), "hold", "passed"),  # nobody asked
        (Observed(5, 1, 20.0), "hold", "passed"),
        (Observed(5, 2, 20.0), "roll_back", "roll_back"),
        (Observed(1_000, 10, 100.0), "hold", "passed"),  # exactly both bounds
        (Observed(1_000, 30, 20.0), "roll_back", "roll_back"),
        (Observed(1, 0, None), "hold", "hold"),
        (Observed(100, 0, math.nan), "hold", "hold"),
    ],
)
def test_requests_that_break_the_levels_beyond_chance_roll_back(seen, during, after):
    assert word(seen, elapsed_s=59.9) == during
    assert word(seen) == after


@pytest.mark.parametrize(
    ("requests", "slow", "said"),
    [
        (1, 1, "passed"),
        (2, 2, "roll_back"),  # the gateway asks the spare instead of one that is slow: few are seen
        (15, 2, "passed"),
        (15, 15, "roll_back"),
        (99, 1, "passed"),  # and so the p99 is above the limit
        (1_000, 10, "passed"),
        (1_000, 18, "passed"),
        (1_000, 20, "roll_back"),
    ],
)
def test_more_slow_requests_than_chance_explains_roll_back_however_few_were_asked(
    requests, slow, said
):
    assert word(Observed(requests, 0, 5_000.0), slow=slow) == said


@pytest.mark.parametrize(
    ("probes", "during", "after"),
    [
        (Probes(0, 0), "hold", "hold"),
        (Probes(5, 1), "hold", "hold"),
        (Probes(5, 2), "hold", "hold"),
        (Probes(5, 3), "roll_back", "roll_back"),
    ],
)
def test_probes_that_fail_in_a_row_roll_back_without_any_request(probes, during, after):
    assert word(Observed(0, 0), probes=probes, elapsed_s=1.0) == during
    assert word(Observed(0, 0), probes=probes) == after


def test_without_a_promised_latency_none_is_too_slow():
    free = WatchRules(60.0, 0.01, None)
    assert word(Observed(1_000, 0, 1e6), rules=free, slow=1_000) == "passed"
    assert word(Observed(1_000, 0, None), rules=free) == "passed"


def test_a_watch_of_no_time_passes_with_its_first_probe_and_a_broken_clock_never():
    assert word(Observed(0, 0), rules=WatchRules(0.0, 0.01, None), elapsed_s=0.0) == "passed"
    assert word(Observed(0, 0), elapsed_s=math.nan) == "hold"


def test_the_reason_has_the_numbers():
    def reason(seen, probes, elapsed_s, slow=0):
        return decide_watch(seen, probes, RULES, elapsed_s=elapsed_s, slow=slow).reason

    assert reason(Observed(200, 20, 300.0), Probes(9, 4), 5.0, 7) == (
        "the last 4 health probes failed; 20 of 200 failed (0.1), 0.01 may; it is not chance; "
        "7 of 200 took longer than the p99 of 100 ms, 0.01 may; it is not chance"
    )
    assert reason(Observed(0, 0), Probes(3, 1), 5.0) == (
        "5 of 60 s are over; the last 1 health probes failed"
    )
    assert reason(Observed(40, 0, 9.0), WELL, 61.0) == (
        "watched for 61 s: 0 of 40 failed (0), 12 probes, the last answered"
    )
