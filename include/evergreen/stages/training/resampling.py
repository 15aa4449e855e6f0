"""How sure a score is: a paired circular block bootstrap over the rows of a holdout.

Rows near each other in time err alike, and to draw them one by one would find differences that
are not there: whole blocks of neighbours are drawn (Politis and Romano, "A circular
block-resampling procedure for stationary data", 1992). Both models are scored on the very same
draws, so what is hard for both cancels. Everything is deterministic by the seed.

A metric of means over rows is computed from sums over blocks (`block_sums.py`), for every resample
asked for. Any other costs one scoring a resample: at most `SCORED_RESAMPLES` on at most
`SCORED_ROWS` rows, evenly spread. Fewer rows widen an interval; they never narrow it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from include.evergreen.policy.metrics import KNOWN
from include.evergreen.stages.training.block_sums import MEANS, BlockSums
from include.evergreen.stages.training.scoring import Prediction, Rows, rows_of, value_of

Floats = npt.NDArray[np.float64]
Starts = npt.NDArray[np.int64]

RESAMPLES = 1_000
SCORED_RESAMPLES = 250
SCORED_ROWS = 5_000
#: Blocks a resample has at most: on more rows, blocks are longer. It bounds the time, not the rows.
MAX_BLOCKS = 20_000
_DRAWN_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class Resamples:
    """What the resamples say.

    Args:
        values: [n_defined] one number a resample, no NaN.
        undefined: resamples on which the metric is undefined; they are in no one's favour.
        block: rows a block has.
        n_rows: rows a resample has.
    """

    values: Floats
    undefined: int
    block: int
    n_rows: int

    @property
    def share_above_zero(self) -> float:
        """Share of all resamples, the undefined ones too, with a value above 0; 0 of none."""
        n_all = len(self.values) + self.undefined
        return float((self.values > 0).sum() / n_all) if n_all else 0.0

    def interval(self, confidence: float) -> tuple[float, float]:
        """The percentile interval of the values; (NaN, NaN) where none is defined."""
        if not len(self.values):
            return math.nan, math.nan
        tail = (1 - confidence) / 2
        low, high = np.quantile(self.values, [tail, 1 - tail])
        return float(low), float(high)


def block_length(n_rows: int, *, in_time: bool) -> int:
    """Rows a block has: the cube root of their number in order of time, else 1."""
    return max(1, round(n_rows ** (1 / 3))) if in_time else 1


def paired_improvements(
    metric: str,
    truth: npt.NDArray[Any],
    champion: Prediction,
    challenger: Prediction,
    classes: Sequence[Any] = (),
    *,
    block: int,
    seed: int,
    resamples: int = RESAMPLES,
) -> Resamples:
    """By how much the challenger is better on each resample, in units of the metric.

    Args:
        metric: a name of `policy.metrics.KNOWN`.
        truth: [n_rows] in order of time where there is one; see `scoring.score`.
        champion: what the one to beat answers, row by row.
        challenger: what the other answers.
        classes: of the contract; empty for a regression.
        block: rows a block has; see `block_length`.
        seed: of the draws.
        resamples: how many; see `SCORED_RESAMPLES`.
    """
    sides = [rows_of(metric, truth, answer, classes) for answer in (champion, challenger)]
    found = _resampled(metric, sides, block, resamples, seed)
    sign = 1.0 if KNOWN[metric].greater_is_better else -1.0
    return _kept(sign * (found.values[1] - found.values[0]), found)


def resampled_scores(
    metric: str,
    truth: npt.NDArray[Any],
    prediction: Prediction,
    classes: Sequence[Any] = (),
    *,
    block: int,
    seed: int,
    resamples: int = RESAMPLES,
) -> Resamples:
    """One model's metric on each resample, on the draws of `paired_improvements`."""
    rows = rows_of(metric, truth, prediction, classes)
    found = _resampled(metric, [rows], block, resamples, seed)
    return _kept(found.values[0], found)


def interval(
    metric: str,
    truth: npt.NDArray[Any],
    prediction: Prediction,
    classes: Sequence[Any] = (),
    *,
    confidence: float,
    block: int,
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Where one model's metric lies with this confidence; (NaN, NaN) where it is undefined."""
    found = resampled_scores(
        metric, truth, prediction, classes, block=block, seed=seed, resamples=resamples
    )
    return found.interval(confidence)


@dataclass(frozen=True)
class _Found:
    """`values`: [n_sides, n_resamples], NaN where undefined."""

    values: Floats
    block: int
    n_rows: int


def _kept(values: Floats, found: _Found) -> Resamples:
    defined = np.isfinite(values)
    return Resamples(values[defined], int((~defined).sum()), found.block, found.n_rows)


def _resampled(metric: str, sides: list[Rows], block: int, resamples: int, seed: int) -> _Found:
    n_rows = len(sides[0])
    if n_rows == 0 or not all(side.are_numbers for side in sides):
        return _Found(np.full((len(sides), resamples), np.nan), block, n_rows)
    rng = np.random.default_rng(seed)
    if metric in MEANS:
        block = min(max(block, -(-n_rows // MAX_BLOCKS)), n_rows)
        sums = [BlockSums(metric, side, block) for side in sides]
        drawn = [[part.values(s) for part in sums] for s in _draws(n_rows, block, resamples, rng)]
        values = [np.concatenate(parts) for parts in zip(*drawn, strict=True)]
        return _Found(np.stack(values), block, n_rows)
    if n_rows > SCORED_ROWS:
        even = np.linspace(0, n_rows - 1, SCORED_ROWS).round().astype(np.int64)
        sides, n_rows = [side.take(even) for side in sides], SCORED_ROWS
    block = min(block, n_rows)
    sides, value = _measure(metric, sides)
    scored = [
        [value(side.take(indices)) for side in sides]
        for starts in _draws(n_rows, block, min(resamples, SCORED_RESAMPLES), rng)
        for indices in _indices(starts, block, n_rows)
    ]
    return _Found(np.array(scored, dtype=np.float64).T, block, n_rows)


def _draws(n_rows: int, block: int, resamples: int, rng: np.random.Generator) -> Iterator[Starts]:
    """[a few resamples, n_blocks] the row at which each block starts; in all, `resamples`."""
    n_blocks = -(-n_rows // block)
    at_once = max(1, _DRAWN_AT_ONCE // n_blocks)
    for done in range(0, resamples, at_once):
        yield rng.integers(0, n_rows, size=(min(at_once, resamples - done), n_blocks))


def _indices(starts: Starts, block: int, n_rows: int) -> Iterator[npt.NDArray[np.int64]]:
    """[n_rows] of each resample: its blocks one after the other, the last one cut to fit."""
    offsets = np.arange(block)
    for own in starts:
        yield ((own[:, None] + offsets).ravel()[:n_rows]) % n_rows


def _measure(metric: str, sides: Sequence[Rows]) -> tuple[list[Rows], Callable[[Rows], float]]:
    """What is drawn from, and what is asked of each draw."""
    if metric == "roc_auc":
        return [_ranked(side) for side in sides], _area
    return list(sides), functools.partial(value_of, metric)


def _ranked(rows: Rows) -> Rows:
    """The probability of the second class as its rank: to be sorted once, not a resample."""
    _, ranks = np.unique(rows.answer[:, 1], return_inverse=True)
    return Rows(rows.actual, ranks, rows.n_classes)


def _area(rows: Rows) -> float:
    """ROC AUC as the share of pairs in the right order; a tie counts half (Mann and Whitney)."""
    size = int(rows.answer.max()) + 1
    second = np.bincount(rows.answer[rows.actual == 1], minlength=size)
    first = np.bincount(rows.answer[rows.actual == 0], minlength=size)
    pairs = int(second.sum()) * int(first.sum())
    return float((second * (first.cumsum() - first / 2)).sum() / pairs) if pairs else math.nan
