"""One scale for every metric: how far from perfect, and how much of that distance was gained.

An error is the distance from what a perfect model has (`Metric.best`): the metric itself for errors
and losses, 1 minus it for a metric that ends at 1. Skill is what was gained on the naive baseline:
0 is no better than it, 1 is perfect, below 0 is worse.
"""

from __future__ import annotations

import math


def error_of(value: float, best: float) -> float:
    """How far a metric is from `best`, which a perfect model has; NaN stays NaN."""
    return abs(best - value)


def skill(error: float, naive_error: float) -> float:
    """What was gained on the naive baseline, 1 at most; NaN where that is perfect already."""
    return 1 - error / naive_error if naive_error > 0 else math.nan
