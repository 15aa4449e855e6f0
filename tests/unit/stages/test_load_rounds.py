"""A load test that is only too slow is tried again; one in which requests fail is not."""

import pytest

from include.evergreen.policy.verification import LoadResult
from include.evergreen.spec import ServiceLevels
from include.evergreen.stages.deploy import verify

FAST = LoadResult(requests=1000, failures=0, seconds=2.0, p50_ms=2.0, p99_ms=9.0)
SLOW = LoadResult(requests=1000, failures=0, seconds=2.0, p50_ms=90.0, p99_ms=251.0)
RARE = LoadResult(requests=39, failures=0, seconds=2.0, p50_ms=90.0, p99_ms=240.0)
FAILING = LoadResult(requests=1000, failures=1, seconds=2.0, p50_ms=2.0, p99_ms=9.0)
SILENT = LoadResult(requests=0, failures=0, seconds=2.0, p50_ms=2.0, p99_ms=9.0)


@pytest.mark.parametrize(
    ("rounds", "tried", "failed"),
    [
        ([FAST], 1, []),
        ([SLOW, FAST], 2, []),
        ([SLOW, RARE, FAST], 3, []),
        ([SLOW, SLOW, SLOW, FAST], 3, ["load_p99"]),
        ([RARE, RARE, RARE, FAST], 3, ["load_rate"]),
        ([FAILING, FAST], 1, ["load_failures"]),
        ([SLOW, FAILING, FAST], 2, ["load_failures"]),
        ([SILENT, FAST], 1, ["load_failures", "load_rate"]),
    ],
)
def test_only_slowness_is_tried_again(monkeypatch, rounds, tried, failed):
    seen = iter(rounds)
    taken = []

    def run_load(*_args, **_levels):
        taken.append(next(seen))
        return taken[-1]

    monkeypatch.setattr(verify, "run_load", run_load)
    monkeypatch.setattr(verify, "LOAD_PAUSE_S", 0.0)
    checks = verify._load_checks("http://127.0.0.1:9", b"{}", ServiceLevels())
    assert [check.name for check in checks if not check.passed] == failed
    assert len(taken) == tried
    told = " ".join(check.seen for check in checks)
    assert (f"in round {tried}" in told) == (tried > 1)
