"""Whether the next step of a canary follows, or the new version goes.

Failures are told from chance, at every look: a broken version goes within a few requests, before
its window is over, and one unlucky request moves nothing. Latency and predictions are compared
when the window is over and enough was asked of both. More failures or a higher p99 than allowed
that may still be chance are "not yet": the window grows until they are proof, or are allowed.
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
    surely_fails_more,
)

Word = Literal["advance", "abort", "not_yet"]


@dataclass(frozen=True)
class CanaryRules:
    """`deployment.canary` of the spec, without the steps."""

    min_requests: int
    max_error_increase: float
    max_p99_ratio: float
    max_prediction_shift: float
    deadline_s: float


@dataclass(frozen=True)
class Elapsed:
    """Seconds of this step so far, of its window, and since the first step began."""

    in_step_s: float
    window_s: float
    in_all_s: float


def decide_step(
    champion: Observed,
    challenger: Observed,
    shift: float | None,
    rules: CanaryRules,
    elapsed: Elapsed,
    *,
    slow: int,
) -> Verdict[Word]:
    """The word on one step.

    Args:
        champion: what was seen of the old version in this step.
        challenger: of the new one, in the same time.
        shift: the distance between their predictions (`shift.py`); None or NaN where nobody knows.
        rules: see `CanaryRules`.
        elapsed: see `Elapsed`.
        slow: how many of the challenger's requests took longer than `max_p99_ratio` times the
            champion's p99.
    """
    if surely_fails_more(champion, challenger, rules.max_error_increase):
        return Verdict(
            "abort",
            f"the new version fails: {challenger.failed}; of the old one {champion.failed}, and "
            f"an increase of {rules.max_error_increase:g} is allowed. It is not chance.",
        )
    breaches = "; ".join(_breaches(champion, challenger, shift, rules, slow))
    fewest = min(champion.requests, challenger.requests)
    if elapsed.in_step_s >= elapsed.window_s and fewest >= rules.min_requests and breaches:
        return Verdict("abort", breaches)
    wanting = "; ".join(_wanting(champion, challenger, shift, rules, elapsed))
    if not elapsed.in_all_s < rules.deadline_s:
        return Verdict(
            "abort",
            f"the deadline of {rules.deadline_s:g} s for all steps is over after "
            f"{elapsed.in_all_s:.0f} s: {wanting or 'this step came too late'}",
        )
    if wanting:
        return Verdict("not_yet", wanting)
    return Verdict(
        "advance",
        f"{challenger.failed}, of the old version {champion.failed}; p99 "
        f"{challenger.p99_ms:.3g} ms against {champion.p99_ms:.3g} ms; "
        f"predictions shifted by {shift:.3g}, {rules.max_prediction_shift:g} allowed",
    )


def _wanting(
    champion: Observed,
    challenger: Observed,
    shift: float | None,
    rules: CanaryRules,
    elapsed: Elapsed,
) -> Iterator[str]:
    """What keeps this step from advancing without being the end of it."""
    if not elapsed.in_step_s >= elapsed.window_s:
        yield f"{elapsed.in_step_s:.0f} of {elapsed.window_s:g} s of the window are over"
    for who, seen in (("new", challenger), ("old", champion)):
        if seen.requests < rules.min_requests:
            yield (
                f"the {who} version was asked {seen.requests:,} times, "
                f"{rules.min_requests:,} are needed"
            )
    if challenger.failed_share > champion.failed_share + rules.max_error_increase:
        yield (
            f"{challenger.failed}, of the old version {champion.failed}: more than the increase of "
            f"{rules.max_error_increase:g} that is allowed, though it may be chance"
        )
    if not (is_number(champion.p99_ms) and is_number(challenger.p99_ms)):
        yield f"the p99 latencies are not known ({champion.p99_ms}, {challenger.p99_ms})"
    elif _is_slower(champion, challenger, rules):
        yield f"{_slower(champion, challenger, rules)}, though it may be chance"
    if not is_number(shift):
        yield f"the shift of the predictions is not known ({shift})"


def _breaches(
    champion: Observed, challenger: Observed, shift: float | None, rules: CanaryRules, slow: int
) -> Iterator[str]:
    surely = surely_above(slow, challenger.requests, ABOVE_P99)
    if surely and _is_slower(champion, challenger, rules):
        yield f"{_slower(champion, challenger, rules)}: {slow:,} requests took longer"
    if shift is not None and shift > rules.max_prediction_shift:
        yield (
            f"the predictions are {shift:.3g} away from the old version's, "
            f"{rules.max_prediction_shift:g} are allowed"
        )


def _slower(champion: Observed, challenger: Observed, rules: CanaryRules) -> str:
    return (
        f"p99 {challenger.p99_ms:.3g} ms against {champion.p99_ms:.3g} ms, at most "
        f"{rules.max_p99_ratio:g} times as much is allowed"
    )


def _is_slower(champion: Observed, challenger: Observed, rules: CanaryRules) -> bool:
    old, new = champion.p99_ms, challenger.p99_ms
    return old is not None and new is not None and new > rules.max_p99_ratio * old
