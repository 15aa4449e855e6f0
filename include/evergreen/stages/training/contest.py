"""What the judge looks at: who contends, on which rows, and what each of them answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from include.evergreen.contracts import Score
from include.evergreen.model_code.predictor import Predictor
from include.evergreen.policy.metrics import KNOWN
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import columns_of
from include.evergreen.stages.training.recipes import classes_of, limited, target_of, threads_of
from include.evergreen.stages.training.scoring import Prediction, score

#: Rows of the train part that gates look at, evenly spread: enough for a metric, and cheap.
TRAIN_ROWS = 5_000


@dataclass(frozen=True)
class Contest:
    """One judging. Nothing in it changes, and what costs time is computed once, when asked for.

    Args:
        spec: of the model.
        train: [n_train] the rows that the challenger learned from, oldest first.
        holdout: [n_holdout] the rows that neither challenger nor champion has seen.
        challenger: as it would be served.
        bundle: the challenger's bundle on this machine's disk.
        answers: what each contender says of the holdout: `challenger`, `baseline` (the naive
            prediction), and `champion` where there is one.
        champion_version: None for a first model.
    """

    spec: ModelSpec
    train: pl.DataFrame
    holdout: pl.DataFrame
    challenger: Predictor
    bundle: Path
    answers: Mapping[str, Prediction]
    champion_version: int | None = None

    @property
    def metric(self) -> str:
        return self.spec.training.metric

    @property
    def greater_is_better(self) -> bool:
        """Which way the spec's metric improves."""
        return KNOWN[self.metric].greater_is_better

    @cached_property
    def scores(self) -> Mapping[str, Score]:
        """The spec's metric of each contender on the whole holdout; NaN where it is undefined."""
        rows = self.holdout.height
        return {
            name: Score(self.metric, self.score(answer), rows)
            for name, answer in self.answers.items()
        }

    @cached_property
    def truth(self) -> npt.NDArray[Any]:
        """[n_holdout] the target."""
        return self.holdout[self.spec.data.target].to_numpy()

    @cached_property
    def target_spread(self) -> float:
        """Standard deviation of a regression's target in all rows learned from.

        Not of the holdout: after a change of the world its few days may hardly vary, and every
        model would be many of their standard deviations off.
        """
        return float(np.std(target_of(self.train, self.spec)))

    @cached_property
    def learned(self) -> pl.DataFrame:
        """Up to `TRAIN_ROWS` of the rows learned from, evenly spread."""
        step = max(1, -(-self.train.height // TRAIN_ROWS))
        return self.train.gather_every(step)

    @cached_property
    def learned_answer(self) -> Prediction:
        """What the challenger says of `learned`."""
        return self.ask(self.learned)

    def ask(self, rows: pl.DataFrame) -> Prediction:
        """What the challenger says of rows of the lake."""
        return predict(self.challenger, rows)

    def score(
        self, answer: Prediction, truth: npt.NDArray[Any] | None = None, metric: str = ""
    ) -> float:
        """A metric (the spec's, unless named) of an answer; NaN where it is undefined."""
        known = self.truth if truth is None else truth
        return score(metric or self.metric, known, answer, classes_of(self.spec))

    def score_part(self, name: str, rows: npt.NDArray[Any], metric: str = "") -> float:
        """A metric of one contender on these rows of the holdout (a mask, or their places)."""
        part = {column: values[rows] for column, values in self.answers[name].items()}
        return self.score(part, self.truth[rows], metric)


def predict(predictor: Predictor, rows: pl.DataFrame) -> Prediction:
    """What a model says of rows of the lake, on one thread where they are few."""
    with limited(threads_of(1), rows.height * rows.width):
        return predictor.predict(columns_of(rows, predictor.contract))
