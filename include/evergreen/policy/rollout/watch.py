"""Whether a version that was just released stays, or the one before it comes back.

The version has passed every gate; a few requests are no evidence against it, and a silent hour is
none. Failures beyond chance, more slow requests than a p99 at the level has, and probes that fail
in a row are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from include.evergreen.policy.rollout.evidence import (
    ABOVE_P99,
    Observed,
    Verdict,
    is_number,
    surely_above,
)

Word = Literal["hold", "roll_back", "passed"]
#: One probe may be lost on its way; so many in a row are a service that does not answer.
PROBES_IN_A_ROW = 3


@dataclass(frozen=True)
class WatchRules:
    """`deployment.watch` of the spec; `max_p99_ms` is None where no level is promised."""

    seconds: float
    max_error_share: float
    max_p99_ms: float | None


@dataclass(frozen=True)
class Probes:
    """Health probes since the release: how many, and how many of the last ones in a row failed."""

    asked: int
    failed_in_a_row: int


def decide_watch(
    seen: Observed, probes: Probes, rules: WatchRules, *, elapsed_s: float, slow: int
) -> Verdict[Word]:
    """The word on a release until now.

    Args:
        seen: requests since the release.
        probes: see `Probes`.
        rules: see `WatchRules`.
        elapsed_s: since the release.
        slow: how many of the requests took longer than `max_p99_ms`.
    """
    broken = "; ".join(_broken(seen, probes, rules, slow))
    if broken:
        return Verdict("roll_back", broken)
    pending = "; ".join(_pending(seen, probes, rules, elapsed_s))
    if pending:
        return Verdict("hold", pending)
    return Verdict(
        "passed",
        f"watched for {elapsed_s:.0f} s: {seen.failed}, {probes.asked:,} probes, the last answered",
    )


def _broken(seen: Observed, probes: Probes, rules: WatchRules, slow: int) -> Iterator[str]:
    if probes.failed_in_a_row >= PROBES_IN_A_ROW:
        yield f"the last {probes.failed_in_a_row:,} health probes failed"
    if surely_above(seen.failures, seen.requests, rules.max_error_share):
        yield f"{seen.failed}, {rules.max_error_share:g} may; it is not chance"
    if rules.max_p99_ms is not None and surely_above(slow, seen.requests, ABOVE_P99):
        yield (
            f"{slow:,} of {seen.requests:,} took longer than the p99 of {rules.max_p99_ms:g} ms, "
            f"{ABOVE_P99:g} may; it is not chance"
        )


def _pending(seen: Observed, probes: Probes, rules: WatchRules, elapsed_s: float) -> Iterator[str]:
    if not elapsed_s >= rules.seconds:
        yield f"{elapsed_s:.0f} of {rules.seconds:g} s are over"
    if probes.asked == 0:
        yield "no health probe was sent yet"
    elif probes.failed_in_a_row:
        yield f"the last {probes.failed_in_a_row:,} health probes failed"
    measured = rules.max_p99_ms is None or is_number(seen.p99_ms)
    if seen.requests and not measured:
        yield f"the p99 of {seen.requests:,} requests is not known ({seen.p99_ms})"
