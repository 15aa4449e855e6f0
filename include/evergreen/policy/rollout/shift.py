"""How far the predictions of two versions are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

_POINTS = 256


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


def binned_shift(champion: Mapping[str, int], challenger: Mapping[str, int]) -> float:
    """`numeric_shift` of two histograms, each with bounds of its own, as Prometheus has them.

    Counts are cumulative, by upper bound, the last `+Inf`. Within a bucket the values are taken as
    spread evenly, and those beyond the bounds as lying on the last one: so far as the bounds tell,
    and a little less for what lies far away.
    """
    return numeric_shift(_spread(champion), _spread(challenger))


def _spread(cumulative: Mapping[str, int]) -> list[float]:
    """Values that lie as those of the histogram do, `_POINTS` of them; none of an empty one."""
    bounds = sorted((float(bound), count) for bound, count in cumulative.items())
    if not bounds or not bounds[-1][1]:
        return []
    total, place, values = bounds[-1][1], 0, []
    for point in range(_POINTS):
        rank = (point + 0.5) / _POINTS * total
        while bounds[place][1] < rank:
            place += 1
        high, count = bounds[place]
        low, below = bounds[place - 1] if place else (high, 0)
        high = low if math.isinf(high) else high
        values.append(low + (high - low) * (rank - below) / (count - below))
    return values


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
