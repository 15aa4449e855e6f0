"""How long the challenger takes for one row, asked as the service asks it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from include.evergreen.model_code.predictor import Predictor, columns_of_rows
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.gates.latency import check_latency
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import limited

ROUNDS = 5
ANSWERS_A_ROUND = 12
#: No round begins after this long: a slow model is known by its first answers.
ENOUGH_S = 0.5


def latency(contest: Contest, *, stopwatch: Callable[[], float] = time.perf_counter) -> Finding:
    """The median time of an answer to one of its golden rows, after a first that warms up."""
    rows = contest.challenger.golden["rows"][:ANSWERS_A_ROUND]
    medians: list[float] = []
    answers = 0
    with limited(threads=1, cells=0):
        _answer(contest.challenger, rows[0])
        began = stopwatch()
        while len(medians) < ROUNDS and (not medians or stopwatch() - began < ENOUGH_S):
            times = _round(contest.challenger, rows, began + ENOUGH_S, stopwatch)
            medians.append(statistics.median(times) * 1000)
            answers += len(times)
    return check_latency(medians, answers, contest.spec.gates.latency.max_ms)


def _round(
    challenger: Predictor,
    rows: list[dict[str, Any]],
    until: float,
    stopwatch: Callable[[], float],
) -> list[float]:
    """Seconds of each answer; at least one, and none is begun after `until`."""
    times: list[float] = []
    for row in rows:
        began = stopwatch()
        if times and began >= until:
            break
        _answer(challenger, row)
        times.append(stopwatch() - began)
    return times


def _answer(challenger: Predictor, row: Mapping[str, Any]) -> None:
    if challenger.predict_one(row) is None:
        challenger.predict(challenger.parse(columns_of_rows([row])))
