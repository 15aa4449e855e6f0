"""Whether a challenger is better than the champion, and not by luck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from include.evergreen.contracts import Score
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.improvement import champion_scale, over_champion

ROUNDING = 1e-12


@dataclass(frozen=True)
class Resampled:
    """What resamples of the holdout say, of challenger and champion on the same rows of each.

    Args:
        better_share: share of all resamples in which the challenger is better; one in which the
            metric is undefined is none of them.
        interval: where the improvement lies, in units of the metric; None where nothing is known.
        resamples: how many there are.
        block_rows: rows that are drawn together.
    """

    better_share: float
    interval: tuple[float, float] | None
    resamples: int
    block_rows: int


def champion(
    challenger: Score,
    champion: Score,
    baseline: Score,
    resampled: Resampled,
    *,
    min_improvement: float,
    confidence: float,
    name: str = "the champion",
) -> Finding:
    """Passed by the margin, in the share of the resamples that the spec asks for; a tie is a no."""
    metric = challenger.metric
    improvement = over_champion(challenger.value, champion.value, baseline.value, metric)
    scale = champion_scale(champion.value, baseline.value, metric)
    share, interval = resampled.better_share, resampled.interval
    by_margin = improvement > 0 and improvement >= min_improvement - ROUNDING
    passed = by_margin and share >= confidence - ROUNDING
    seen = compared(challenger, champion, improvement, name)
    required = f"{min_improvement:.2%}"
    if improvement != 0:
        seen += f", in {share:.1%} of the resamples"
        required += f" and {confidence:.0%} of them"
    evidence: dict[str, Any] = {
        "metric": metric,
        "rows": challenger.n_rows,
        "challenger": challenger.value,
        "champion": champion.value,
        "improvement": improvement,
        "min_improvement": min_improvement,
        "interval": [end / scale for end in interval] if interval and scale > 0 else None,
        "confidence": confidence,
        "better_share": share,
        "resamples": resampled.resamples,
        "block_rows": resampled.block_rows,
    }
    return Finding(passed, seen, required, evidence)


def compared(challenger: Score, other: Score, improvement: float, name: str) -> str:
    """In words: by how much it is better or worse than the other, with both scores."""
    scores = f"{challenger.metric} {challenger.value:.6g} against {other.value:.6g}"
    if improvement == 0:
        return f"a tie with {name} ({scores}), and a tie keeps what is"
    word = "better" if improvement > 0 else "worse"
    return f"{abs(improvement):.2%} {word} than {name} ({scores})"
