"""How long one answer may take."""

from __future__ import annotations

from collections.abc import Sequence

from include.evergreen.policy.gates.finding import Finding


def check_latency(medians_ms: Sequence[float], n_answers: int, max_ms: float) -> Finding:
    """The best of several medians counts: a busy machine makes a model slow, none makes it fast.

    Args:
        medians_ms: of the rounds, at least one.
        n_answers: that were timed in all.
        max_ms: what the median may be, included.
    """
    p50_ms = min(medians_ms)
    return Finding(
        passed=p50_ms <= max_ms,
        seen=f"one answer takes {p50_ms:.3g} ms (the best median of {len(medians_ms)} rounds)",
        required=f"at most {max_ms:g} ms (gates.latency.max_ms)",
        evidence={
            "p50_ms": p50_ms,
            "medians_ms": list(medians_ms),
            "answers": n_answers,
            "max_ms": max_ms,
        },
    )
