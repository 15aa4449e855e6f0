"""How the challenger does on what it learned from, beside the holdout."""

from __future__ import annotations

from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.gates.overfitting import check_overfitting
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.gates.errors import holdout_errors, learned_errors


def overfitting(contest: Contest) -> Finding:
    """The errors on both, each with the naive baseline's there, against `gates.overfitting`."""
    rules = contest.spec.gates.overfitting
    return check_overfitting(
        learned_errors(contest),
        holdout_errors(contest),
        max_gap=rules.max_gap,
        min_kept_skill=rules.min_kept_skill,
    )
