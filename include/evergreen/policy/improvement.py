"""By how much one value of a metric is better than another, as a share of the other.

Relative to a value near zero every difference is large, so what it is compared with counts at
least as much as a floor.
"""

from __future__ import annotations

import math

#: Relative to a score near zero every difference is large: the champion's score counts at
#: least as this share of the baseline's.
FLOOR_SHARE = 0.01
#: Scores of which more is better end at 1, and near zero (an R² of 0.001) say next to nothing:
#: they count at least as this much.
GAIN_FLOOR = 0.1


def improvement_over(
    value: float, other: float, floor: float = 0.0, *, greater_is_better: bool
) -> float:
    """By how much `value` is better, relative to `other`; negative if worse.

    `other` counts at least as `floor`; of two zeros neither is better.
    """
    better_by = value - other if greater_is_better else other - value
    if better_by == 0:
        return 0.0
    scale = max(abs(other), floor)
    return better_by / scale if scale > 0 else math.copysign(math.inf, better_by)


def over_baseline(value: float, baseline: float, *, greater_is_better: bool) -> float:
    """By how much a model is better than the naive prediction."""
    floor = GAIN_FLOOR if greater_is_better else 0.0
    return improvement_over(value, baseline, floor, greater_is_better=greater_is_better)


def champion_floor(baseline: float, *, greater_is_better: bool) -> float:
    """What a champion's score counts as at least, where the naive prediction has this one."""
    floor = GAIN_FLOOR if greater_is_better else 0.0
    return max(floor, FLOOR_SHARE * abs(baseline)) if math.isfinite(baseline) else floor


def over_champion(
    value: float, champion: float, baseline: float, *, greater_is_better: bool
) -> float:
    """By how much a challenger is better than the champion on the same rows."""
    floor = champion_floor(baseline, greater_is_better=greater_is_better)
    return improvement_over(value, champion, floor, greater_is_better=greater_is_better)
