"""Whether a version that answers nobody answers as the champion did."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

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
        yield f"{pairs.compared:,} requests were compared, {rules.min_requests:,} are needed"
    if replayed.failures > rules.max_error_share * replayed.requests:
        yield (
            f"of the replayed requests {replayed.failed}, {rules.max_error_share:g} may, though "
            "it may be chance"
        )
    if not is_number(pairs.mean_difference):
        yield f"the difference of the answers is not known ({pairs.mean_difference})"
