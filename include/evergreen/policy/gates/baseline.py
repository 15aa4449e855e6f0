"""Whether a challenger is better than a prediction that looks at no column."""

from __future__ import annotations

from include.evergreen.contracts import Score
from include.evergreen.policy.gates.champion import ROUNDING, compared
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.improvement import over_baseline


def baseline(
    challenger: Score,
    baseline: Score,
    *,
    min_improvement: float,
    kind: str,
) -> Finding:
    """Passed by the margin; a tie is a no. `kind` says which naive prediction it was."""
    improvement = over_baseline(challenger.value, baseline.value, challenger.metric)
    passed = improvement > 0 and improvement >= min_improvement - ROUNDING
    evidence = {
        "metric": challenger.metric,
        "rows": challenger.n_rows,
        "challenger": challenger.value,
        "baseline": baseline.value,
        "kind": kind,
        "improvement": improvement,
        "min_improvement": min_improvement,
    }
    seen = compared(challenger, baseline, improvement, "the naive baseline")
    return Finding(passed, seen, f"{min_improvement:.2%}", evidence)
