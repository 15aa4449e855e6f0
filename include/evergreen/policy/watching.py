"""Decides whether a version that was just released keeps its service levels. Pure.

What is wrong at once (it ended, it is silent, it answers otherwise than it should) needs no
number of requests. A share or a percentile of a handful of requests says nothing, and is not
judged: the version proved itself under load before it was sent any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from include.evergreen.contracts import Fact

#: So many looks in a row without an answer are no accident of one connection.
SILENT_LOOKS = 3
#: So many in a row with wrong golden rows are none of one moment.
WRONG_LOOKS = 2
MIN_REQUESTS = 20
MIN_LATENCIES = 100


@dataclass(frozen=True)
class WatchRules:
    """`deployment.watch` of the spec."""

    max_error_share: float
    max_p99_ms: float


@dataclass(frozen=True)
class Counters(Fact):
    """What a service has answered since it started, as it counts itself.

    `latencies` says how many were answered within each bound, in seconds, as Prometheus has it:
    cumulative, and the last bound is `+Inf`.
    """

    requests: int = 0
    failures: int = 0
    latencies: dict[str, int] = field(default_factory=dict)

    def since(self, before: Counters) -> Counters:
        """What came since then; all of it where the service was started again in between."""
        if self.requests < before.requests:
            return self
        latencies = {b: n - before.latencies.get(b, 0) for b, n in self.latencies.items()}
        return Counters(self.requests - before.requests, self.failures - before.failures, latencies)

    @property
    def p99_ms(self) -> float:
        """Linear within the bucket it falls into, as Prometheus has it; NaN of none."""
        ascending = sorted((float(bound), count) for bound, count in self.latencies.items())
        total = ascending[-1][1] if ascending else 0
        if not total:
            return math.nan
        rank, below, low = 0.99 * total, 0, 0.0
        for bound, count in ascending:
            if count >= rank:
                if math.isinf(bound):
                    return low * 1000
                return (low + (bound - low) * (rank - below) / max(count - below, 1)) * 1000
            below, low = count, bound
        return math.nan


@dataclass(frozen=True)
class Watched:
    """What the looks since the switch have seen. `ended`: the service does not run any more."""

    ended: bool = False
    silent_looks: int = 0
    wrong_looks: int = 0
    wrong: str = ""
    counters: Counters = Counters()


def why_broken(watched: Watched, rules: WatchRules) -> str:
    """Which service level is broken, seen against required; empty while none is."""
    if watched.ended:
        return "it ended"
    if watched.silent_looks >= SILENT_LOOKS:
        return f"it did not answer /ping {watched.silent_looks} times in a row"
    if watched.wrong_looks >= WRONG_LOOKS:
        return f"its golden rows are answered otherwise than offline: {watched.wrong}"
    seen = watched.counters
    share = seen.failures / seen.requests if seen.requests else 0.0
    if seen.requests >= MIN_REQUESTS and share > rules.max_error_share:
        return (
            f"{seen.failures} of {seen.requests} requests failed ({share:.2%}); the watch allows "
            f"{rules.max_error_share:.2%}"
        )
    if seen.requests >= MIN_LATENCIES and seen.p99_ms > rules.max_p99_ms:
        return (
            f"p99 of {seen.requests} requests is {seen.p99_ms:.1f} ms; the watch allows "
            f"{rules.max_p99_ms:g} ms"
        )
    return ""


def what_was_seen(watched: Watched, rules: WatchRules) -> str:
    """A watch that passed, in words."""
    seen = watched.counters
    if seen.requests < MIN_REQUESTS:
        return f"it answers; {seen.requests} requests are too few to say more"
    words = f"{seen.failures} of {seen.requests} requests failed"
    if seen.requests >= MIN_LATENCIES:
        words += f", p99 {seen.p99_ms:.1f} ms of {rules.max_p99_ms:g} ms"
    return words
