"""Holds the challenger against the naive prediction."""

from __future__ import annotations

from include.evergreen.policy.gates import baseline as policy
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.stages.training.baseline import default_baseline
from include.evergreen.stages.training.contest import Contest


def baseline(contest: Contest) -> Finding:
    """By the spec's metric, on the whole holdout."""
    gates = contest.spec.gates
    return policy.baseline(
        contest.scores["challenger"],
        contest.scores["baseline"],
        min_improvement=gates.min_baseline_improvement,
        kind=gates.naive_baseline or default_baseline(contest.spec.task),
    )
