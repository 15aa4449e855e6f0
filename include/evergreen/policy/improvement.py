"""By how much one value of a metric is better than another, as a share of the other.

Relative to a value near zero every difference is large, so what it is compared with counts at
least as much as a floor.
"""

from __future__ import annotations

import math

from include.evergreen.policy.metrics import KNOWN

#: The champion's score counts at least as this share of the baseline's.
FLOOR_SHARE = 0.01
#: Scores that end at 1 say next to nothing near zero (an R² of 0.001): they count at least as this
#: much. Errors do not end at 1, and neither do scikit-learn's negated ones.
GAIN_FLOOR = 0.1


def over_baseline(value: float, baseline: float, metric: str) -> float:
    """By how much a model is better than the naive prediction; negative if worse."""
    return _improvement(value, baseline, _floor(metric), metric)


def over_champion(value: float, champion: float, baseline: float, metric: str) -> float:
    """By how much a challenger is better than the champion on the same rows; negative if worse."""
    return _improvement(value, champion, champion_scale(champion, baseline, metric), metric)


def champion_scale(champion: float, baseline: float, metric: str) -> float:
    """What an improvement over a champion is a share of; 0 if it and the baseline are perfect."""
    least = FLOOR_SHARE * abs(baseline) if math.isfinite(baseline) else 0.0
    return max(abs(champion), least, _floor(metric))


def _floor(metric: str) -> float:
    known = KNOWN[metric]
    return GAIN_FLOOR if known.greater_is_better and known.best == 1 else 0.0


def _improvement(value: float, other: float, floor: float, metric: str) -> float:
    better_by = value - other if KNOWN[metric].greater_is_better else other - value
    if better_by == 0:
        return 0.0
    scale = max(abs(other), floor)
    return better_by / scale if scale > 0 else math.copysign(math.inf, better_by)
