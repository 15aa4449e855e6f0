"""Which rows a gate looks at, and how they are touched: the same rows give the same rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from include.evergreen.stages.training.scoring import Prediction


def spread_indices(n_rows: int, most: int) -> npt.NDArray[np.int64]:
    """[at most `most`] indices of rows, evenly spread; all of them where they are few."""
    return np.arange(0, n_rows, max(1, -(-n_rows // most)))


def spread(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    """Up to so many rows, evenly spread."""
    return frame[spread_indices(frame.height, most)]


def answer_at(answer: Prediction, indices: npt.NDArray[np.int64]) -> Prediction:
    """What was said of these rows."""
    return {name: values[indices] for name, values in answer.items()}
