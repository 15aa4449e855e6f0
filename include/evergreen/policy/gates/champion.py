"""Whether a challenger is better than the champion, and not by luck."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from include.evergreen.contracts import Score
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.improvement import over_champion

ROUNDING = 1e-12


@dataclass(frozen=True)
class Resampled:
    """The improvements over the champion in resamples of the holdout, of both in the same rows.

    Args:
        improvements: one a resample; NaN where the metric is undefined in it.
        blocks: how many blocks of neighbouring rows were drawn from.
    """

    improvements: Sequence[float]
    blocks: int

    @property
    def better_share(self) -> float:
        """The share in which the challenger is better; one that is undefined is none of them."""
        better = sum(1 for value in self.improvements if value > 0)
        return better / len(self.improvements) if self.improvements else 0.0

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """The central interval of the improvements; None where fewer than two are defined."""
        known = sorted(value for value in self.improvements if math.isfinite(value))
        if len(known) < 2:  # noqa: PLR2004
            return None
        cut = (1 - confidence) / 2
        return _quantile(known, cut), _quantile(known, 1 - cut)


def champion(
    challenger: Score,
    champion: Score,
    baseline: Score,
    resampled: Resampled,
    *,
    greater_is_better: bool,
    min_improvement: float,
    confidence: float,
    name: str = "the champion",
) -> Finding:
    """Passed by the margin, in the share of the resamples that the spec asks for; a tie is a no."""
    improvement = over_champion(
        challenger.value, champion.value, baseline.value, greater_is_better=greater_is_better
    )
    share = resampled.better_share
    by_margin = improvement > 0 and improvement >= min_improvement - ROUNDING
    passed = by_margin and share >= confidence - ROUNDING
    seen = compared(challenger, champion, improvement, name)
    required = f"{min_improvement:.2%}"
    if improvement != 0:
        seen += f", in {share:.1%} of the resamples"
        required += f" and {confidence:.0%} of them"
    evidence: dict[str, Any] = {
        "metric": challenger.metric,
        "rows": challenger.n_rows,
        "challenger": challenger.value,
        "champion": champion.value,
        "improvement": improvement,
        "min_improvement": min_improvement,
        "interval": resampled.interval(confidence),
        "confidence": confidence,
        "better_share": share,
        "resamples": len(resampled.improvements),
        "blocks": resampled.blocks,
    }
    return Finding(passed, seen, required, evidence)


def compared(challenger: Score, other: Score, improvement: float, name: str) -> str:
    """In words: by how much it is better or worse than the other, with both scores."""
    scores = f"{challenger.metric} {challenger.value:.6g} against {other.value:.6g}"
    if improvement == 0:
        return f"a tie with {name} ({scores}), and a tie keeps what is"
    word = "better" if improvement > 0 else "worse"
    return f"{abs(improvement):.2%} {word} than {name} ({scores})"


def _quantile(ascending: Sequence[float], share: float) -> float:
    place = share * (len(ascending) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (ascending[high] - ascending[low]) * (place - low)
