"""A model may be as large and as slow as the limit, and no more."""

import pytest

from include.evergreen.policy.gates.latency import check_latency
from include.evergreen.policy.gates.size import check_size

MIB = 2**20


@pytest.mark.parametrize(
    ("size_bytes", "passed"), [(0, True), (2 * MIB, True), (2 * MIB + 1, False)]
)
def test_a_bundle_may_be_as_large_as_the_limit(size_bytes, passed):
    assert check_size(size_bytes, max_mib=2).passed is passed


def test_the_size_is_told_in_mib():
    found = check_size(300 * MIB, max_mib=256)
    assert found.seen == "the bundle has 300 MiB"
    assert found.required == "at most 256 MiB (gates.size.max_mib)"
    assert found.evidence == {"size_mib": 300, "max_mib": 256}


@pytest.mark.parametrize(
    ("medians", "passed"),
    [
        ([5.0], True),
        ([5.01], False),
        ([90.0, 4.0, 90.0], True),  # a busy machine makes a model slow, none makes it fast
        ([5.1, 5.2, 5.3], False),
    ],
)
def test_the_best_median_of_the_rounds_counts(medians, passed):
    assert check_latency(medians, n_answers=9, max_ms=5).passed is passed


def test_the_latency_is_told_with_what_it_was_measured_by():
    found = check_latency([81.5, 80.0], n_answers=24, max_ms=50)
    assert found.seen == "one answer takes 80 ms (the best median of 2 rounds)"
    assert found.required == "at most 50 ms (gates.latency.max_ms)"
    assert found.evidence["p50_ms"] == 80
    assert found.evidence["answers"] == 24
