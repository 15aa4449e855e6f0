"""How far from perfect the contenders are: one scale for every metric, and for other rows."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from include.evergreen.policy.gates.skill import error_of
from include.evergreen.policy.metrics import KNOWN
from include.evergreen.stages.training.baseline import default_baseline, predict_naively
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import classes_of, target_of, times_of
from include.evergreen.stages.training.scoring import Prediction


def error(contest: Contest, answer: Prediction, truth: npt.NDArray[Any]) -> float:
    """The distance of the spec's metric from what a perfect model has; NaN if it is undefined."""
    return error_of(contest.score(answer, truth), KNOWN[contest.metric].best)


def learned_errors(contest: Contest) -> tuple[float, float]:
    """The errors of the challenger and of the naive baseline on the rows learned from."""
    truth = contest.learned[contest.spec.data.target].to_numpy()
    return (
        error(contest, contest.learned_answer, truth),
        error(contest, _naive_of_learned(contest), truth),
    )


def holdout_errors(contest: Contest) -> tuple[float, float]:
    """The errors of the challenger and of the naive baseline on the holdout."""
    return (
        error(contest, contest.answers["challenger"], contest.truth),
        error(contest, contest.answers["baseline"], contest.truth),
    )


def _naive_of_learned(contest: Contest) -> Prediction:
    spec = contest.spec
    times = times_of(contest.train, spec), times_of(contest.learned, spec)
    return predict_naively(
        spec.gates.naive_baseline or default_baseline(spec.task),
        target_of(contest.train, spec),
        target_of(contest.learned, spec),
        None if times[0] is None or times[1] is None else (times[0], times[1]),
        classes_of(spec),
    )
