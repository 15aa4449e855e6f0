"""Whether some rows are served much worse than they were, whatever the rest gains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from include.evergreen.policy.gates.champion import ROUNDING
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.improvement import over_baseline, over_champion

MOST_TOLD = 3


@dataclass(frozen=True)
class MeasuredSlice:
    """The metric on the rows of one slice; NaN where it is undefined on them.

    `champion` is None for a first model: the naive baseline stands in its place. `missing` counts
    the rows of the holdout in which the column has no value: they are in no slice.
    """

    name: str
    rows: int
    missing: int
    min_rows: int
    max_loss: float
    challenger: float
    champion: float | None
    baseline: float
    metric: str

    @property
    def loss(self) -> float:
        """How much worse than the champion (the baseline) it is here; negative if better."""
        if self.champion is None:
            return -over_baseline(self.challenger, self.baseline, self.metric)
        return -over_champion(self.challenger, self.champion, self.baseline, self.metric)

    @property
    def verdict(self) -> Literal["passed", "failed", "too_few_rows", "undefined"]:
        if self.rows < self.min_rows:
            return "too_few_rows"
        other = self.baseline if self.champion is None else self.champion
        if not math.isfinite(other):
            return "undefined"
        return "passed" if self.loss <= self.max_loss + ROUNDING else "failed"


def slices(measured: Sequence[MeasuredSlice]) -> Finding:
    """Passed if no slice that is large enough loses more than it may."""
    if not measured:
        return Finding(None, "no slice is named", "gates.slices of the spec")
    judged = [part for part in measured if part.verdict in ("passed", "failed")]
    failed = [part for part in judged if part.verdict == "failed"]
    left = len(measured) - len(judged)
    beside = f"; {left} not judged (too few rows)" if left else ""
    evidence: dict[str, Any] = {
        "metric": measured[0].metric,
        "slices": [_row(part) for part in measured],
    }
    allowed = _allowed(failed or measured)
    if not judged:
        return Finding(None, f"no slice has enough rows of the holdout{beside}", allowed, evidence)
    other = "the naive baseline" if measured[0].champion is None else "the champion"
    if not failed:
        seen = f"{len(judged)} slices, none much worse than {other}{beside}"
        return Finding(True, seen, allowed, evidence)
    failed.sort(key=lambda part: -part.loss if math.isfinite(part.loss) else -math.inf)
    told = "; ".join(_told(part) for part in failed[:MOST_TOLD])
    more = f"; and {len(failed) - MOST_TOLD} more" if len(failed) > MOST_TOLD else ""
    seen = f"{len(failed)} of {len(judged)} slices worse than {other}: {told}{more}"
    return Finding(False, seen, allowed, evidence)


def _told(part: MeasuredSlice) -> str:
    other = part.baseline if part.champion is None else part.champion
    lost = f"{part.loss:.1%}" if math.isfinite(part.loss) else "no number"
    return f"{part.name} ({part.rows:,} rows) {lost}, {part.challenger:.6g} against {other:.6g}"


def _allowed(parts: Sequence[MeasuredSlice]) -> str:
    limits = sorted({part.max_loss for part in parts})
    if len(limits) == 1:
        return f"at most {limits[0]:.0%} worse in each"
    return f"at most {limits[0]:.0%} to {limits[-1]:.0%} worse, as each slice says"


def _row(part: MeasuredSlice) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": part.name,
        "rows": part.rows,
        "missing": part.missing,
        "challenger": part.challenger,
        "loss": part.loss,
        "max_loss": part.max_loss,
        "verdict": part.verdict,
    }
    row["baseline" if part.champion is None else "champion"] = (
        part.baseline if part.champion is None else part.champion
    )
    return row
