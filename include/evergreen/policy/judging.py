"""Decides whether a challenger won. Pure: scores in, judgement out.

Whatever is not a clear win is a "no": a tie, a score that is no number, no rows, scores on
different rows. The champion's gate and the baseline's both apply, always.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from include.evergreen.contracts import Judgement, Score

#: Relative to a score near zero every difference is large: the champion's score counts at
#: least as this share of the baseline's.
FLOOR_SHARE = 0.01
#: Scores that end at 1 say next to nothing near zero (an R² of 0.001): they count at least as this
#: much. Errors do not end at 1, and neither do scikit-learn's negated ones.
GAIN_FLOOR = 0.1
_ROUNDING = 1e-12


@dataclass(frozen=True)
class JudgingRules:
    """The gates of the spec, which way the metric improves, and whether it ends at 1."""

    greater_is_better: bool
    min_improvement: float
    min_baseline_improvement: float
    ends_at_one: bool = True


def improvement_over(challenger: Score, other: Score, floor: float, rules: JudgingRules) -> float:
    """By how much the challenger is better, relative to the other's score; negative if worse.

    The other's score counts at least as `floor`; of two zeros neither is better.
    """
    difference = challenger.value - other.value
    better_by = difference if rules.greater_is_better else -difference
    if better_by == 0:
        return 0.0
    scale = max(abs(other.value), floor)
    return better_by / scale if scale > 0 else math.copysign(math.inf, better_by)


def judge(
    challenger: Score,
    champion: Score | None,
    baseline: Score,
    rules: JudgingRules,
    champion_version: int | None = None,
) -> Judgement:
    """The judge's word on scores of one metric on one holdout.

    Args:
        challenger: of the recipe fitted without the holdout.
        champion: of the registered champion; None for a first model.
        baseline: of the naive prediction.
        rules: see `JudgingRules`.
        champion_version: of the champion, for the record.
    """
    say = functools.partial(
        Judgement,
        challenger=challenger,
        champion=champion,
        champion_version=champion_version,
        baseline=baseline,
        required_improvement=(
            rules.min_improvement if champion else rules.min_baseline_improvement
        ),
    )
    problem = _not_comparable(challenger=challenger, champion=champion, baseline=baseline)
    if problem:
        return say("lost", problem)
    floor = GAIN_FLOOR if rules.greater_is_better and rules.ends_at_one else 0.0
    improvement = improvement_over(challenger, baseline, floor, rules)
    required = rules.min_baseline_improvement
    gates = [_gate("the naive baseline", challenger, baseline, improvement, required)]
    if champion is not None:
        floor = max(floor, FLOOR_SHARE * abs(baseline.value))
        improvement = improvement_over(challenger, champion, floor, rules)
        name = "the champion" if champion_version is None else f"champion v{champion_version}"
        gates.insert(0, _gate(name, challenger, champion, improvement, rules.min_improvement))
    lost = [text for passed, text in gates if not passed]
    reason = "; ".join(lost or [text for _, text in gates])
    return say("lost" if lost else "won", reason, improvement=improvement)


def _not_comparable(**scores: Score | None) -> str:
    known = {name: score for name, score in scores.items() if score is not None}
    for name, score in known.items():
        if score.n_rows <= 0:
            return f"the {name} was scored on no rows"
        if not math.isfinite(score.value):
            return f"the {score.metric} of the {name} is no number ({score.value})"
    if len({(score.metric, score.n_rows) for score in known.values()}) > 1:
        seen = ", ".join(f"{n}: {s.metric} on {s.n_rows:,}" for n, s in known.items())
        return f"the scores are not of one metric on the same rows ({seen})"
    return ""


def _gate(
    name: str, challenger: Score, other: Score, improvement: float, required: float
) -> tuple[bool, str]:
    passed = improvement > 0 and improvement >= required - _ROUNDING
    scores = f"{challenger.metric} {challenger.value:.6g} against {other.value:.6g}"
    if improvement == 0:
        return False, f"a tie with {name} ({scores}); a tie keeps what is"
    word = "better" if improvement > 0 else "worse"
    return passed, (
        f"{abs(improvement):.2%} {word} than {name} ({scores}), "
        f"{'required' if passed else 'but required'} {required:.2%}"
    )
