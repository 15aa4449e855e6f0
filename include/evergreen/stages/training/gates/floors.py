"""Measures each metric that has a floor."""

from __future__ import annotations

from include.evergreen.policy.gates import floors as policy
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.stages.training.contest import Contest


def floors(contest: Contest) -> Finding:
    """Of the challenger, on the whole holdout."""
    answer = contest.answers["challenger"]
    return policy.floors(
        [
            policy.Floor(
                metric=name,
                value=contest.score(answer, metric=name),
                limit=limit,
            )
            for name, limit in contest.spec.gates.floors.items()
        ]
    )
