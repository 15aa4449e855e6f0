"""How far the predictions of two versions are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise


def numeric_shift(champion: Sequence[float], challenger: Sequence[float]) -> float:
    """Wasserstein-1 between two samples, in standard deviations of the champion's.

    NaN where a sample is empty or a value is no number. Where the champion always says the same
    it is 0 if the challenger says that too, else infinite.
    """
    if not (champion and challenger and all(map(math.isfinite, (*champion, *challenger)))):
        return math.nan
    if min(champion) == max(champion):
        return 0.0 if set(champion) == set(challenger) else math.inf
    scale = max(map(abs, champion))  # the sum of very large numbers is infinite
    ours, theirs = ([value / scale for value in side] for side in (champion, challenger))
    mean = sum(ours) / len(ours)
    deviation = math.dist(ours, [mean] * len(ours)) / math.sqrt(len(ours))
    return _wasserstein(ours, theirs) / deviation


def _wasserstein(one: Sequence[float], other: Sequence[float]) -> float:
    """The area between both distribution functions."""
    steps = sorted([(value, 1 / len(one)) for value in one] + [(v, -1 / len(other)) for v in other])
    height, areas = 0.0, []
    for (value, step), (following, _) in pairwise(steps):
        height += step
        areas.append(abs(height) * (following - value))
    return sum(areas)


def label_shift(champion: Mapping[str, int], challenger: Mapping[str, int]) -> float:
    """Jensen-Shannon distance between two counts of labels, 0 to 0.83 (the root of ln 2).

    In natural units, as the monitoring of drift has it. NaN where one has no labels at all.

    Raises:
        ValueError: a count is negative.
    """
    if any(count < 0 for count in (*champion.values(), *challenger.values())):
        raise ValueError(f"Labels cannot be counted below 0: {champion}, {challenger}.")
    totals = sum(champion.values()), sum(challenger.values())
    if not all(totals):
        return math.nan
    divergences = []
    for label in champion.keys() | challenger.keys():
        shares = champion.get(label, 0) / totals[0], challenger.get(label, 0) / totals[1]
        middle = sum(shares) / 2
        divergences += [share * math.log(share / middle) for share in shares if share]
    return math.sqrt(max(math.fsum(divergences), 0.0) / 2)
