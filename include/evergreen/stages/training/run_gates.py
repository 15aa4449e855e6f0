"""Runs every gate that the spec does not turn off, and asks the policy for the judge's word."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import numpy as np

from include.evergreen.contracts import GateName, GateResult, Judgement
from include.evergreen.policy.gates.finding import Finding, result_of, switched_off
from include.evergreen.policy.judging import JudgingRules, judge, not_comparable
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.gates.baseline import baseline
from include.evergreen.stages.training.gates.behaviour import behaviour
from include.evergreen.stages.training.gates.calibration import calibration
from include.evergreen.stages.training.gates.champion import champion
from include.evergreen.stages.training.gates.fairness import fairness
from include.evergreen.stages.training.gates.floors import floors
from include.evergreen.stages.training.gates.latency import latency
from include.evergreen.stages.training.gates.leakage import leakage
from include.evergreen.stages.training.gates.overfitting import overfitting
from include.evergreen.stages.training.gates.size import size
from include.evergreen.stages.training.gates.slices import slices
from include.evergreen.stages.training.gates.stability import stability

log = logging.getLogger(__name__)

Gate = Callable[[Contest], Finding]
#: What measures each gate. Each module of `gates/` has one function of the gate's name.
GATES: Mapping[GateName, Gate] = {
    "champion": champion,
    "baseline": baseline,
    "floors": floors,
    "slices": slices,
    "fairness": fairness,
    "calibration": calibration,
    "stability": stability,
    "behaviour": behaviour,
    "leakage": leakage,
    "overfitting": overfitting,
    "size": size,
    "latency": latency,
}
#: Evidence is read by people and drawn in charts: more digits only make it larger.
_DIGITS = 6


def judge_contest(contest: Contest) -> Judgement:
    """The judge's word on a contest; no gate runs where the scores decide nothing."""
    gates, scores = contest.spec.gates, contest.scores
    challenger, baseline_score = scores["challenger"], scores["baseline"]
    champion_score = scores.get("champion")
    problem = not_comparable(
        challenger=challenger, champion=champion_score, baseline=baseline_score
    )
    return judge(
        challenger,
        champion_score,
        baseline_score,
        () if problem else run_gates(contest),
        JudgingRules(
            min_improvement=gates.min_improvement,
            min_baseline_improvement=gates.min_baseline_improvement,
        ),
        contest.champion_version,
    )


def run_gates(contest: Contest) -> tuple[GateResult, ...]:
    """One result a gate, in the order in which they are told.

    An error in one is an error of the judging, never a pass.
    """
    results = []
    for name in get_args(GateName):
        mode = contest.spec.gates.mode(name)
        if mode == "off":
            result = switched_off(name)
        else:
            found = GATES[name](contest)
            plain = dataclasses.replace(found, evidence=_plain(found.evidence))
            result = result_of(name, mode, plain)
        log.info("Gate %s (%s): %s, %s", name, mode, result.verdict, result.seen)
        results.append(result)
    return tuple(results)


def _plain(value: Any) -> Any:
    """The same as JSON holds it: no type of numpy's, no NaN, and no more digits than are read."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
