"""When a model does too well to be true.

Two signs, each with what keeps it from crying wolf. One column alone explains nearly everything:
only suspicious while the model is nearly perfect, for a strong column is no crime. The holdout is
answered better than the rows learned from: only suspicious if it is so beside the naive baseline,
too, for some weeks are easier than others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.evergreen.policy.gates.finding import Finding

#: Columns of the table in the evidence.
SHOWN = 30
ROUNDING = 1e-12


@dataclass(frozen=True)
class LeakageRules:
    """See `gates.leakage` of the spec."""

    max_feature_share: float
    max_skill: float
    max_holdout_gain: float


@dataclass(frozen=True)
class Importance:
    """The error with a column permuted, and the share of the skill that is lost by it."""

    column: str
    error: float
    lost: float


def check_leakage(
    found_skill: float,
    importances: Sequence[Importance],
    alone: Mapping[str, float],
    learned: tuple[float, float],
    holdout: tuple[float, float],
    rules: LeakageRules,
) -> Finding:
    """Failed by either sign; passed up to and including each limit.

    Args:
        found_skill: of the challenger, 1 is perfect and 0 the naive baseline.
        importances: of all columns, by permutation.
        alone: column -> share of the skill that it alone carries, of those that matter most;
            only looked at while the skill is above `max_skill`.
        learned: errors of the challenger and of the naive baseline on the rows learned from.
        holdout: the same on the holdout.
        rules: see `LeakageRules`.
    """
    gain = holdout_gain(learned, holdout)
    required = (
        f"no column alone that carries over {rules.max_feature_share:.0%} of a skill above "
        f"{rules.max_skill:g} (gates.leakage.max_feature_share, max_skill), and a holdout answered "
        f"at most {rules.max_holdout_gain:.0%} better than the rows learned from "
        "(max_holdout_gain)"
    )
    evidence = _evidence(found_skill, importances, alone, gain)
    if not all(math.isfinite(error) for error in (*learned, *holdout)):
        seen = f"an error that is no number (learned {learned[0]:g}, holdout {holdout[0]:g})"
        return Finding(False, seen, required, evidence)
    problems = []
    name = max(alone, key=lambda column: alone[column], default="")
    if found_skill > rules.max_skill and name and alone[name] > rules.max_feature_share:
        problems.append(
            f"column '{name}' alone carries {min(alone[name], 1.0):.1%} of a skill of "
            f"{found_skill:.4f}: it looks like the target in disguise"
        )
    if gain > rules.max_holdout_gain + ROUNDING:
        problems.append(
            f"the holdout is answered {gain:.0%} better than the rows learned from (error "
            f"{holdout[0]:.4g} against {learned[0]:.4g}): it looks known"
        )
    calm = f"a skill of {found_skill:.3f}, and no column alone that looks like the target"
    return Finding(not problems, "; ".join(problems) or calm, required, evidence)


def holdout_gain(learned: tuple[float, float], holdout: tuple[float, float]) -> float:
    """By what share the holdout's error is below the learned rows', whichever way it is less so.

    Once as it is, once in units of the naive baseline's error on the same rows.
    """
    if not learned[0] > 0:
        return 0.0
    gains = [1 - holdout[0] / learned[0]]
    if learned[1] > 0 and holdout[1] > 0:
        gains.append(1 - (holdout[0] / holdout[1]) / (learned[0] / learned[1]))
    return min(gains)


def _evidence(
    found_skill: float, importances: Sequence[Importance], alone: Mapping[str, float], gain: float
) -> dict[str, Any]:
    by_weight = sorted(importances, key=lambda found: -found.lost)[:SHOWN]
    return {
        "skill": found_skill,
        "holdout_gain": gain,
        "importances": [
            {"column": found.column, "error": found.error, "lost": found.lost}
            for found in by_weight
        ],
        "columns": len(importances),
        "alone": dict(alone),
    }
