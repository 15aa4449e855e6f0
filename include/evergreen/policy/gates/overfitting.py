"""When a model has learned its rows by heart.

A forest or a boosted ensemble fits the rows it learned from almost perfectly and is sound all the
same, so a gap between the two errors alone proves nothing. It is a memoriser whose skill was in
those rows: of what it gained on the naive baseline there, little is left on the holdout.
"""

from __future__ import annotations

import math

from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.gates.skill import skill

ROUNDING = 1e-12


def check_overfitting(
    learned: tuple[float, float],
    holdout: tuple[float, float],
    *,
    max_gap: float,
    min_kept_skill: float,
) -> Finding:
    """Failed where the gap is above the limit and too little of the skill is kept, both at once.

    Args:
        learned: errors of the challenger and of the naive baseline on the rows learned from.
        holdout: the same on the holdout.
        max_gap: how many times the learned rows' error the holdout's may be.
        min_kept_skill: share of the skill on the learned rows that is to be left on the holdout.
    """
    required = (
        f"an error at most {max_gap:g} times that on the rows learned from "
        f"(gates.overfitting.max_gap), or at least {min_kept_skill:.0%} of the skill there kept "
        "(min_kept_skill)"
    )
    if not all(math.isfinite(error) for error in (*learned, *holdout)):
        return Finding(
            passed=False,
            seen=f"an error that is no number (learned {learned[0]:g}, holdout {holdout[0]:g})",
            required=required,
        )
    gap = holdout[0] / learned[0] if learned[0] > 0 else math.inf if holdout[0] > 0 else 1.0
    kept = _kept(skill(*learned), skill(*holdout))
    times = f"{gap:.3g} times" if math.isfinite(gap) else "infinitely many times"
    return Finding(
        passed=gap <= max_gap + ROUNDING or kept >= min_kept_skill - ROUNDING,
        seen=(
            f"the error on the holdout is {times} that on the rows learned from "
            f"({holdout[0]:.4g} against {learned[0]:.4g}), and {kept:.0%} of the skill is kept"
        ),
        required=required,
        evidence={
            "learned_error": learned[0],
            "holdout_error": holdout[0],
            "learned_naive_error": learned[1],
            "holdout_naive_error": holdout[1],
            "gap": gap,
            "max_gap": max_gap,
            "kept_skill": kept,
            "min_kept_skill": min_kept_skill,
        },
    )


def _kept(learned_skill: float, holdout_skill: float) -> float:
    """What is left of the skill, as a share; all of it where nothing was learned."""
    if not (math.isfinite(learned_skill) and learned_skill > 0):
        return 1.0
    return holdout_skill / learned_skill if math.isfinite(holdout_skill) else 0.0
