"""The naive prediction that every model must beat: mean, majority, or the last value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from include.evergreen.contracts import Task
from include.evergreen.stages.training.scoring import Prediction

Baseline = Literal["mean", "majority", "last_value"]
Array = npt.NDArray[Any]


def default_baseline(task: Task) -> Baseline:
    """The baseline where the spec names none."""
    return "mean" if task == "regression" else "majority"


def predict_naively(
    baseline: Baseline,
    train: Array,
    holdout: Array,
    times: tuple[Array, Array] | None,
    classes: Sequence[Any],
) -> Prediction:
    """The baseline's prediction of the holdout, in the form of a Predictor's.

    Args:
        baseline: which one. `last_value` is the newest target before the row's own time.
        train: [n_train] targets: float64, or codes of the classes.
        holdout: [n_holdout] targets; only those of earlier rows are looked at.
        times: of both, ascending; needed for `last_value`.
        classes: of the contract; empty for a regression.
    """
    n_rows = len(holdout)
    if baseline == "mean":
        return {"prediction": np.full(n_rows, train.mean())}
    shares = np.bincount(train, minlength=len(classes)) / len(train) if classes else None
    if baseline == "majority" and shares is not None:
        return _classes(np.tile(shares, (n_rows, 1)), np.full(n_rows, shares.argmax()), classes)
    if times is None:
        raise ValueError("last_value needs the times of the rows.")
    last = _last_values(train, holdout, times)
    if shares is None:
        return {"prediction": last}
    stays = float((train[1:] == train[:-1]).mean()) if len(train) > 1 else 0.5
    rest = np.tile(shares, (n_rows, 1))
    rest[np.arange(n_rows), last] = 0.0
    total = rest.sum(axis=1, keepdims=True)
    rest = np.divide(rest, total, out=np.zeros_like(rest), where=total > 0) * (1 - stays)
    rest[np.arange(n_rows), last] = stays
    return _classes(rest, last, classes)


def _last_values(train: Array, holdout: Array, times: tuple[Array, Array]) -> Array:
    """The target of the newest row whose time is before the row's; the oldest one's if none is."""
    moments = np.concatenate(times)
    order = np.argsort(moments, kind="stable")
    targets = np.concatenate([train, holdout])[order]
    before = np.searchsorted(moments[order], times[1], side="left") - 1
    values: Array = targets[np.maximum(before, 0)]
    return values


def _classes(shares: Array, codes: Array, classes: Sequence[Any]) -> Prediction:
    labels = np.array(classes, dtype=object)
    answer: dict[str, Array] = {"prediction": labels[codes]}
    for code, label in enumerate(classes):
        answer[f"probability_{label}"] = shares[:, code]
    return answer
