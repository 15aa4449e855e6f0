"""Looks for signs that the challenger knows the target beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.gates.leakage import Importance, LeakageRules, check_leakage
from include.evergreen.policy.gates.skill import skill
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.gates.errors import error, holdout_errors, learned_errors
from include.evergreen.stages.training.gates.rows import answer_at, spread_indices
from include.evergreen.stages.training.scoring import Prediction

#: Rows of the holdout whose columns are permuted, and how many are asked for in all at most.
ROWS = 500
ROWS_IN_ALL = 100_000
#: Of so many columns that matter most it is looked at whether one carries all.
SUSPECTS = 5


def leakage(contest: Contest) -> Finding:
    """What each column carries, and the errors on both parts, against `gates.leakage`."""
    knobs = contest.spec.gates.leakage
    rules = LeakageRules(knobs.max_feature_share, knobs.max_skill, knobs.max_holdout_gain)
    permuting = _Permuting.of(contest)
    importances = permuting.importances()
    suspects = sorted(importances, key=lambda found: -found.lost)[:SUSPECTS]
    nearly_perfect = permuting.skill > rules.max_skill
    alone = permuting.alone([found.column for found in suspects]) if nearly_perfect else {}
    return check_leakage(
        permuting.skill,
        importances,
        alone,
        learned_errors(contest),
        holdout_errors(contest),
        rules,
    )


@dataclass(frozen=True)
class _Permuting:
    """Some rows of the holdout, the order they are permuted into, and the errors as they are.

    A column's values move to other rows together, so every row stays one of values that occur.
    """

    contest: Contest
    rows: pl.DataFrame
    truth: npt.NDArray[np.generic]
    order: npt.NDArray[np.int64]
    columns: tuple[str, ...]
    error: float
    naive_error: float

    @classmethod
    def of(cls, contest: Contest) -> _Permuting:
        columns = tuple(contest.challenger.contract["columns"])
        most = max(50, min(ROWS, ROWS_IN_ALL // max(1, len(columns))))
        chosen = spread_indices(contest.holdout.height, most)
        truth = contest.truth[chosen]
        errors = (
            error(contest, answer_at(contest.answers[name], chosen), truth)
            for name in ("challenger", "baseline")
        )
        order = np.random.default_rng(contest.spec.training.seed).permutation(len(chosen))
        return cls(contest, contest.holdout[chosen], truth, order, columns, *errors)

    @property
    def skill(self) -> float:
        """Of these rows; NaN where the naive baseline is perfect."""
        return skill(self.error, self.naive_error)

    def importances(self) -> list[Importance]:
        """What becomes of the error when one column says nothing, a column each."""
        errors = self._errors([[column] for column in self.columns])
        gained = self.naive_error - self.error
        return [
            Importance(column, found, (found - self.error) / gained if gained > 0 else 0.0)
            for column, found in zip(self.columns, errors, strict=True)
        ]

    def alone(self, suspects: Sequence[str]) -> dict[str, float]:
        """The share of the skill that is left when one column alone says something."""
        others = [[name for name in self.columns if name != column] for column in suspects]
        shares = (skill(found, self.naive_error) / self.skill for found in self._errors(others))
        return dict(zip(suspects, shares, strict=True))

    def _errors(self, silenced: Sequence[Sequence[str]]) -> list[float]:
        """The error with each of these sets of columns permuted; all are asked for at once."""
        permuted = self.rows[self.order]
        frames = [self.rows.with_columns(permuted.select(columns)) for columns in silenced]
        answer = self.contest.ask(pl.concat(frames))
        size = self.rows.height
        return [
            error(self.contest, _part(answer, start, size), self.truth)
            for start in range(0, size * len(frames), size)
        ]


def _part(answer: Prediction, start: int, size: int) -> Prediction:
    return {name: values[start : start + size] for name, values in answer.items()}
