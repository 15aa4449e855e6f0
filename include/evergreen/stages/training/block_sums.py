"""Metrics of means over rows, from sums over blocks of rows: no resample looks at a row again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from include.evergreen.stages.training.scoring import Rows, log_losses

Floats = npt.NDArray[np.float64]
Starts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Means:
    """How a metric follows from means over rows.

    Args:
        columns: [n_columns, n_rows] what is averaged.
        finish: [n_columns, n_resamples] means -> [n_resamples] the metric, NaN where undefined.
    """

    columns: Callable[[Rows], Floats]
    finish: Callable[[Floats], Floats]


class BlockSums:
    """One model's rows, summed over the blocks that start at each of them."""

    def __init__(self, metric: str, rows: Rows, block: int) -> None:
        self._n_rows, self._finish = len(rows), MEANS[metric].finish
        rest = self._n_rows % block or block
        columns = MEANS[metric].columns(rows)
        self._whole = [_sums(column, block) for column in columns]
        self._last = [_sums(column, rest) for column in columns]

    def values(self, starts: Starts) -> Floats:
        """[n_resamples] the metric of each; the last block of a resample is cut to fit.

        Args:
            starts: [n_resamples, n_blocks] the row at which each block starts.
        """
        sums = [
            whole[starts[:, :-1]].sum(axis=1) + last[starts[:, -1]]
            for whole, last in zip(self._whole, self._last, strict=True)
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._finish(np.stack(sums) / self._n_rows)


def _sums(column: Floats, length: int) -> Floats:
    """[n_rows] the sum over `length` rows from each row on, around the end."""
    if length == 1:
        return column
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([column, column[: length - 1]]))])
    return np.asarray(around[length:] - around[:-length])


def _squared(rows: Rows) -> Floats:
    return np.asarray([np.square(rows.answer - rows.actual)])


def _absolute(rows: Rows) -> Floats:
    return np.asarray([np.abs(rows.answer - rows.actual)])


def _relative(rows: Rows) -> Floats:
    return _absolute(rows) / np.maximum(np.abs(rows.actual), np.finfo(np.float64).eps)


def _log_losses(rows: Rows) -> Floats:
    return np.asarray([log_losses(rows)])


def _brier(rows: Rows) -> Floats:
    return np.asarray([np.square(rows.answer[:, 1] - rows.actual)])


def _right(rows: Rows) -> Floats:
    return np.asarray([rows.answer == rows.actual], dtype=np.float64)


def _spread(rows: Rows) -> Floats:
    """Squared errors, and the target with its square, about its mean: no digits are lost."""
    centred = rows.actual - rows.actual.mean()
    return np.asarray([np.square(rows.answer - rows.actual), centred, np.square(centred)])


def _hits(rows: Rows) -> Floats:
    """For each class one after the other: said and true, said, true."""
    said = [rows.answer == code for code in range(rows.n_classes)]
    true = [rows.actual == code for code in range(rows.n_classes)]
    hits = [[s & t, s, t] for s, t in zip(said, true, strict=True)]
    return np.asarray(hits, dtype=np.float64).reshape(-1, len(rows))


def _mean(means: Floats) -> Floats:
    return np.asarray(means[0])


def _root(means: Floats) -> Floats:
    return np.asarray(np.sqrt(means[0]))


def _r2(means: Floats) -> Floats:
    errors, target, squares = means
    variance = squares - np.square(target)
    flat = variance <= _ROUNDING * squares
    return np.where(flat, np.nan, 1 - errors / variance)


def _f1(means: Floats) -> Floats:
    """Of the second class; 0 where it neither occurs nor is said."""
    return _f1_of(*means[3:6])


def _f1_of(both: Floats, said: Floats, true: Floats) -> Floats:
    return np.where(said + true > 0, 2 * both / (said + true), 0.0)


def _macro_f1(means: Floats) -> Floats:
    """Over the classes that occur."""
    both, said, true = means[0::3], means[1::3], means[2::3]
    return _over_occurring(_f1_of(both, said, true), true)


def _balanced_accuracy(means: Floats) -> Floats:
    both, true = means[0::3], means[2::3]
    return _over_occurring(both / true, true)


def _over_occurring(values: Floats, true: Floats) -> Floats:
    occur = true > 0
    return np.asarray(np.where(occur, values, 0.0).sum(axis=0) / occur.sum(axis=0))


def _negated(finish: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda means: -finish(means)


#: Below this share of its square a variance is what rounding left.
_ROUNDING = 1e-12

MEANS: dict[str, Means] = {
    "rmse": Means(_squared, _root),
    "mae": Means(_absolute, _mean),
    "mape": Means(_relative, _mean),
    "r2": Means(_spread, _r2),
    "accuracy": Means(_right, _mean),
    "balanced_accuracy": Means(_hits, _balanced_accuracy),
    "log_loss": Means(_log_losses, _mean),
    "brier": Means(_brier, _mean),
    "f1": Means(_hits, _f1),
    "macro_f1": Means(_hits, _macro_f1),
    "neg_mean_absolute_error": Means(_absolute, _negated(_mean)),
    "neg_mean_absolute_percentage_error": Means(_relative, _negated(_mean)),
    "neg_mean_squared_error": Means(_squared, _negated(_mean)),
    "neg_root_mean_squared_error": Means(_squared, _negated(_root)),
}
