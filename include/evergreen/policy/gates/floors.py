"""Whether every metric with a floor is above it, whatever the champion's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.metrics import KNOWN


@dataclass(frozen=True)
class Floor:
    """One metric with the least (errors and losses: the most) that it may be."""

    metric: str
    value: float
    limit: float

    @property
    def greater_is_better(self) -> bool:
        return KNOWN[self.metric].greater_is_better

    @property
    def kept(self) -> bool:
        """False, too, for a metric that is undefined on the holdout."""
        if not math.isfinite(self.value):
            return False
        return self.value >= self.limit if self.greater_is_better else self.value <= self.limit

    @property
    def required(self) -> str:
        return f"{self.metric} {'>=' if self.greater_is_better else '<='} {self.limit:.6g}"


def floors(measured: Sequence[Floor]) -> Finding:
    """Passed if each is kept; not applicable where the spec sets none."""
    if not measured:
        return Finding(None, "no floor is set", "gates.floors of the spec")
    broken = [floor for floor in measured if not floor.kept]
    told = broken or measured
    return Finding(
        passed=not broken,
        seen=", ".join(f"{floor.metric} {floor.value:.6g}" for floor in told),
        required=", ".join(floor.required for floor in told),
        evidence={
            "floors": [
                {
                    "metric": floor.metric,
                    "value": floor.value,
                    "limit": floor.limit,
                    "greater_is_better": floor.greater_is_better,
                    "verdict": "passed" if floor.kept else "failed",
                }
                for floor in measured
            ]
        },
    )
