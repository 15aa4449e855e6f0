"""The improvement over the champion in resamples of the holdout, of both in the same rows.

Neighbouring rows of a time series are alike: a row drawn by itself would count the same day many
times over. Where the model has a time column, whole blocks of neighbouring rows are drawn.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from include.evergreen.policy.gates.champion import Resampled
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import times_of

RESAMPLES = 200
_DAY_US = 86_400_000_000
#: With fewer days than this a day is too coarse a block.
_FEWEST_DAYS = 10


def paired_improvements(contest: Contest) -> Resampled:
    """Of challenger over champion, by the spec's metric; the same contest gives the same ones."""
    blocks = _blocks(contest)
    rng = np.random.default_rng(contest.spec.training.seed)
    sign = 1.0 if contest.greater_is_better else -1.0
    found = np.empty(RESAMPLES)
    with warnings.catch_warnings():
        # Of a resample with one class; its metric is NaN, which counts as no improvement.
        warnings.simplefilter("ignore")
        for index in range(RESAMPLES):
            drawn = rng.integers(0, len(blocks), len(blocks))
            rows = np.concatenate([blocks[block] for block in drawn])
            challenger = contest.score_part("challenger", rows)
            found[index] = sign * (challenger - contest.score_part("champion", rows))
    known = found[np.isfinite(found)]
    tail = (1 - contest.spec.gates.confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail]) if len(known) else (np.nan, np.nan)
    return Resampled(
        better_share=float((known > 0).sum() / RESAMPLES),
        interval=(float(low), float(high)) if len(known) else None,
        resamples=RESAMPLES,
        block_rows=round(contest.holdout.height / len(blocks)),
    )


def _blocks(contest: Contest) -> list[npt.NDArray[Any]]:
    """The places of the holdout's rows, block by block; single rows without a time column."""
    n_rows = contest.holdout.height
    times = times_of(contest.holdout, contest.spec)
    if times is None:
        return [np.array([place]) for place in range(n_rows)]
    order = np.argsort(times, kind="stable")
    days = times[order] // _DAY_US
    starts = np.flatnonzero(np.diff(days)) + 1
    if len(starts) + 1 < _FEWEST_DAYS:
        length = max(1, round(n_rows ** (1 / 3)))
        starts = np.arange(length, n_rows, length)
    return np.split(order, starts)
