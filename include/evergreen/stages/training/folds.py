"""Splits the train part into folds: later rows judge earlier ones where there is a time.

Deterministic for the same rows and seed. A fold on which nothing can be learned or scored (a
class is missing) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
_BINARY = 2


@dataclass(frozen=True)
class Fold:
    """Row numbers of the train part: learn from `train`, score on `validation`."""

    train: Indices
    validation: Indices


def make_folds(
    target: Array, times: Array | None, *, n: int, seed: int, classes: bool
) -> list[Fold]:
    """At least one fold, at most `n`.

    Args:
        target: [n_rows] numbers or labels.
        times: [n_rows] ascending, or None; then rows are dealt out at random, by class.
        n: the number of folds wanted.
        seed: of the dealing.
        classes: the target is a class; every fold must learn from all of them.
    """
    if times is not None:
        folds = [f for f in _in_time(times, n) if not classes or _shows_classes(target, f)]
        if folds:
            return folds
    dealt = _dealt(target, n, seed, classes=classes)
    return [f for f in dealt if not classes or _shows_classes(target, f)] or dealt


def _in_time(times: Array, n: int) -> list[Fold]:
    """Growing windows: fold i learns from the first i+1 of n+1 blocks and is scored on the next.

    Rows of one time are never torn apart.
    """
    edges = [int(np.searchsorted(times, times[len(times) * i // (n + 1)])) for i in range(1, n + 1)]
    edges = sorted({edge for edge in edges if 0 < edge < len(times)})
    ends = [*edges, len(times)][1:]
    return [
        Fold(np.arange(start), np.arange(start, end))
        for start, end in zip(edges, ends, strict=True)
    ]


def _dealt(target: Array, n: int, seed: int, *, classes: bool) -> list[Fold]:
    """Rows dealt out in turn after shuffling, class by class, so that folds resemble each other."""
    order = np.random.default_rng(seed).permutation(len(target))
    if classes:
        _, codes = np.unique(target, return_inverse=True)
        order = order[np.argsort(codes[order], kind="stable")]
    fold_of = np.empty(len(target), dtype=np.int64)
    fold_of[order] = np.arange(len(target)) % n
    return [Fold(np.flatnonzero(fold_of != i), np.flatnonzero(fold_of == i)) for i in range(n)]


def _shows_classes(target: Array, fold: Fold) -> bool:
    learned, asked = set(target[fold.train].tolist()), set(target[fold.validation].tolist())
    return set(target.tolist()) == learned and len(asked) >= _BINARY
