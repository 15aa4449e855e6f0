"""Decides whether a challenger won. Pure: scores and what the gates found in, judgement out.

Whatever is not a clear win is a "no": a score that is no number, no rows, scores on different
rows, no gate that looked, and any gate that blocks and failed. A tie is the champion's gate's "no".
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.evergreen.contracts import GateName, GateResult, Judgement, Score
from include.evergreen.policy.improvement import over_baseline, over_champion

#: The gates whose figures a judgement tells even of a challenger that won.
_ALWAYS_TOLD: tuple[GateName, ...] = ("champion", "baseline")


@dataclass(frozen=True)
class JudgingRules:
    """The two margins of the spec, for the record."""

    min_improvement: float
    min_baseline_improvement: float


def judge(
    challenger: Score,
    champion: Score | None,
    baseline: Score,
    gates: Sequence[GateResult],
    rules: JudgingRules,
    champion_version: int | None = None,
) -> Judgement:
    """The judge's word on scores of one metric on one holdout, and on what the gates found.

    Args:
        challenger: of the recipe fitted without the holdout.
        champion: of the registered champion; None for a first model.
        baseline: of the naive prediction.
        gates: one result a gate, in the order in which they are told.
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
    problem = not_comparable(challenger=challenger, champion=champion, baseline=baseline)
    if problem:
        return say("lost", problem)
    value, metric = challenger.value, challenger.metric
    if champion is None:
        improvement = over_baseline(value, baseline.value, metric)
    else:
        improvement = over_champion(value, champion.value, baseline.value, metric)
    say = functools.partial(say, improvement=improvement, gates=tuple(gates))
    if not gates:
        return say("lost", "no gate has looked at it")
    blocked = [told(gate) for gate in gates if gate.blocks]
    return say("lost" if blocked else "won", "; ".join(blocked or _won_by(gates)))


def not_comparable(*, challenger: Score, champion: Score | None, baseline: Score) -> str:
    """Why these scores decide nothing; empty if they are numbers of one metric on one holdout."""
    scores = {"challenger": challenger, "champion": champion, "baseline": baseline}
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


def told(gate: GateResult) -> str:
    """What a gate saw against what it requires, with its name."""
    but = "but required" if gate.verdict == "failed" else "required"
    return f"{gate.seen}, {but} {gate.required} (gate {gate.name})"


def _won_by(gates: Sequence[GateResult]) -> list[str]:
    """The improvements, then each warning; at the least, how many gates were passed."""
    passed = [gate for gate in gates if gate.verdict == "passed"]
    lines = [told(gate) for gate in passed if gate.name in _ALWAYS_TOLD]
    if not lines:
        lines.append(f"{len(passed)} of {len(gates)} gates passed, and none that blocks failed")
    return lines + [f"warning: {told(gate)}" for gate in gates if gate.verdict == "failed"]
