"""Whether a version that answers nobody answers as the champion did."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from include.evergreen.contracts import Fact
from include.evergreen.policy.rollout.evidence import Observed, Verdict, is_number, surely_above

Word = Literal["pass", "fail", "not_yet"]


@dataclass(frozen=True)
class ShadowRules:
    """`deployment.shadow` of the spec."""

    min_requests: int
    max_difference: float
    max_error_share: float
    deadline_s: float


@dataclass(frozen=True)
class Replayed(Fact):
    """What was asked again until now, look after look.

    Args:
        requests: asked of the new version.
        failures: those that had no good answer.
        rows: the answers of all others.
        apart: over these rows the sum of |difference| (regression), or how many labels differ.
        mean: of the champion's answers (regression).
        squares: their squared deviations from it, summed.
        until: when the champion answered the last of the requests; '' of none.
    """

    requests: int = 0
    failures: int = 0
    rows: int = 0
    apart: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    until: str = ""

    def failed(self, until: str) -> Replayed:
        """One request more, without a good answer."""
        return replace(self, requests=self.requests + 1, failures=self.failures + 1, until=until)

    def answered(self, until: str, champion: Sequence[Any], challenger: Sequence[Any]) -> Replayed:
        """One request more and what both said, row by row: finite numbers, or labels."""
        rows, apart, mean, squares = self.rows, self.apart, self.mean, self.squares
        for old, new in zip(champion, challenger, strict=True):
            rows += 1
            if not isinstance(old, float):
                apart += str(old) != str(new)
                continue
            apart += abs(old - new)
            away = old - mean
            mean += away / rows
            squares += away * (old - mean)
        return Replayed(self.requests + 1, self.failures, rows, apart, mean, squares, until)

    def pairs(self, *, regression: bool) -> Pairs:
        """In the terms of the decision."""
        return Pairs(Observed(self.requests, self.failures), self._difference(regression))

    def _difference(self, regression: bool) -> float | None:
        if not self.rows:
            return None
        if not regression:
            return self.apart / self.rows
        deviation = math.sqrt(self.squares / self.rows)
        if deviation == 0:
            return 0.0 if self.apart == 0 else math.inf
        return self.apart / self.rows / deviation


@dataclass(frozen=True)
class Pairs:
    """Logged requests that were asked again, matched by request key with the champion's answers.

    Args:
        replayed: requests asked of the new version, and how many had no answer.
        mean_difference: over the pairs: |difference| in standard deviations of the champion's
            answers (regression), or the share of other labels; None or NaN where unknown.
    """

    replayed: Observed
    mean_difference: float | None

    @property
    def compared(self) -> int:
        return self.replayed.requests - self.replayed.failures


def decide_shadow(pairs: Pairs, rules: ShadowRules, *, elapsed_s: float) -> Verdict[Word]:
    """The word on what was replayed until now.

    Args:
        pairs: see `Pairs`.
        rules: see `ShadowRules`.
        elapsed_s: since the replay began.
    """
    replayed, difference = pairs.replayed, pairs.mean_difference
    if surely_above(replayed.failures, replayed.requests, rules.max_error_share):
        return Verdict(
            "fail",
            f"of the replayed requests {replayed.failed}, {rules.max_error_share:g} may",
        )
    enough = pairs.compared >= rules.min_requests
    if enough and difference is not None and difference > rules.max_difference:
        return Verdict(
            "fail",
            f"the answers to {pairs.compared:,} requests differ by {difference:.3g} on average, "
            f"{rules.max_difference:g} is allowed",
        )
    wanting = "; ".join(_wanting(pairs, rules))
    if not elapsed_s < rules.deadline_s:
        why = wanting or "it came too late"
        return Verdict("fail", f"the deadline of {rules.deadline_s:g} s is over: {why}")
    if wanting:
        return Verdict("not_yet", wanting)
    return Verdict(
        "pass",
        f"the answers to {pairs.compared:,} requests differ by {difference:.3g} on average, "
        f"{rules.max_difference:g} is allowed; {replayed.failed}",
    )


def _wanting(pairs: Pairs, rules: ShadowRules) -> Iterator[str]:
    replayed = pairs.replayed
    if pairs.compared < rules.min_requests:
        yield (
            f"{pairs.compared:,} requests were logged and compared since it began, "
            f"{rules.min_requests:,} are needed"
        )
    if replayed.failures > rules.max_error_share * replayed.requests:
        yield (
            f"of the replayed requests {replayed.failed}, {rules.max_error_share:g} may, though "
            "it may be chance"
        )
    if not is_number(pairs.mean_difference):
        yield f"the difference of the answers is not known ({pairs.mean_difference})"
