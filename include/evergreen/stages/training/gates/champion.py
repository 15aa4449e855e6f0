"""Measures whether the challenger is better than the champion in resamples of the holdout, too."""

from __future__ import annotations

from include.evergreen.policy.gates import champion as policy
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.paired import paired_improvements


def champion(contest: Contest) -> Finding:
    """Both on the same rows, and both on the same rows of each resample."""
    gates, scores = contest.spec.gates, contest.scores
    required = f"{gates.min_improvement:.2%} and {gates.confidence:.0%} of the resamples"
    if "champion" not in scores:
        return Finding(None, "there is no champion yet", required)
    version = contest.champion_version
    return policy.champion(
        scores["challenger"],
        scores["champion"],
        scores["baseline"],
        paired_improvements(contest),
        greater_is_better=contest.greater_is_better,
        min_improvement=gates.min_improvement,
        confidence=gates.confidence,
        name="the champion" if version is None else f"champion v{version}",
    )
