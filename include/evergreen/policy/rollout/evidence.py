"""What was seen of a version while it answered, and whether failures are more than chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

Word = TypeVar("Word", bound=str)

#: Failures count as too many when a version that keeps its bound shows so many this seldom. It is
#: small because a rollout is looked at again and again, and every look may be wrong.
DOUBT = 0.005
#: The share of requests that are slower than a p99.
ABOVE_P99 = 0.01
_NEGLIGIBLE = 1e-16


@dataclass(frozen=True)
class Verdict(Generic[Word]):
    """A word, and the numbers it rests on in one sentence."""

    word: Word
    reason: str


@dataclass(frozen=True)
class Observed:
    """Requests that a version was asked and how they ended.

    Args:
        requests: all of them.
        failures: those that had no good answer.
        p99_ms: of their latencies; None or NaN where nobody knows it.
    """

    requests: int
    failures: int
    p99_ms: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.failures <= self.requests:
            raise ValueError(
                f"{self.failures} of {self.requests} requests cannot have failed: the counts are "
                "of different windows, or a counter began anew between them."
            )

    @property
    def failed_share(self) -> float:
        """NaN of no requests."""
        return self.failures / self.requests if self.requests else math.nan

    @property
    def failed(self) -> str:
        """In words: `3 of 1,200 failed (0.25%)`."""
        share = f" ({self.failed_share:.3g})" if self.requests else ""
        return f"{self.failures:,} of {self.requests:,} failed{share}"


def is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def surely_above(failures: int, requests: int, bound: float) -> bool:
    """Whether so many failures are no accident of a version whose share is at most `bound`.

    The exact binomial tail: P(at least `failures` of `requests`) < `DOUBT`. So 1 failure of 5 is
    no proof against a bound of 1%, and 3 of 5 are.
    """
    if requests <= 0 or failures <= bound * requests:
        return False
    if bound <= 0:
        return True
    return _tail(failures, requests, bound) < DOUBT


def surely_fails_more(champion: Observed, challenger: Observed, increase: float) -> bool:
    """Whether the new version's failures are no accident of one that fails as the old one does.

    What the old version's share may well be is told by the rule of succession: 1/2 of no requests.
    """
    expected = (champion.failures + 1) / (champion.requests + 2)
    return surely_above(challenger.failures, challenger.requests, expected + increase)


def _tail(k: int, n: int, p: float) -> float:
    """P(X >= k) of a binomial X, for k above its mean: there the terms only shrink."""
    logs = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    term = math.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p))
    total = 0.0
    odds = p / (1 - p)
    while term > _NEGLIGIBLE * total and k <= n:
        total += term
        term *= (n - k) / (k + 1) * odds
        k += 1
    return total
