"""Failures are told from chance exactly, and counts that cannot be are refused."""

import math

import pytest
from scipy import stats

from include.evergreen.policy.rollout.evidence import DOUBT, Observed, _tail, surely_above


@pytest.mark.parametrize(
    ("failures", "requests", "bound", "sure"),
    [
        (0, 0, 0.01, False),
        (0, 100, 0.0, False),
        (1, 100, 0.0, True),  # none may fail, and one did
        (1, 1, 0.01, False),
        (1, 5, 0.01, False),
        (2, 5, 0.01, True),
        (3, 100, 0.01, False),
        (5, 100, 0.01, True),
        (10, 1_000, 0.01, False),  # exactly the bound
        (14, 1_000, 0.01, False),
        (19, 1_000, 0.01, False),
        (20, 1_000, 0.01, True),
        (10_400, 1_000_000, 0.01, True),
        (10_100, 1_000_000, 0.01, False),
        (5, 5, 1.0, False),
        (5, 5, 1.5, False),
    ],
)
def test_so_many_failures_are_no_accident(failures, requests, bound, sure):
    assert surely_above(failures, requests, bound) is sure


@pytest.mark.parametrize("n", [1, 5, 100, 20_000, 3_000_000])
@pytest.mark.parametrize("p", [1e-6, 0.01, 0.3, 0.99])
def test_the_tail_is_that_of_the_binomial(n, p):
    for above in (0.0, 1.0, 3.0):
        k = min(n, math.ceil(n * p + above * math.sqrt(n * p)))
        assert _tail(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-6, abs=1e-12)


def test_a_version_that_keeps_its_bound_is_seldom_blamed():
    blamed = [k for k in range(501) if surely_above(k, 500, 0.02)]
    assert (
        stats.binom.sf(blamed[0] - 1, 500, 0.02) < DOUBT <= stats.binom.sf(blamed[0] - 2, 500, 0.02)
    )


@pytest.mark.parametrize(("requests", "failures"), [(5, 6), (5, -1), (-1, 0)])
def test_counts_that_cannot_be_are_refused(requests, failures):
    with pytest.raises(ValueError, match=f"{failures} of {requests} requests cannot have failed"):
        Observed(requests, failures)


def test_what_failed_is_said_with_its_share():
    assert Observed(1_200, 3).failed == "3 of 1,200 failed (0.0025)"
    assert Observed(0, 0).failed == "0 of 0 failed"
    assert math.isnan(Observed(0, 0).failed_share)
