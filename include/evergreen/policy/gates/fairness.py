"""Whether the groups of a column are served alike, within what the spec allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from include.evergreen.policy.gates.champion import ROUNDING
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.policy.improvement import over_baseline

MOST_TOLD = 3
#: Groups that stand in the evidence: the largest of each column and its worst, and in all so many.
MOST_SHOWN, MOST_IN_ALL = 15, 60


@dataclass(frozen=True)
class Group:
    """The rows of one value of a column, and what the challenger says of them.

    `metric` is NaN where it is undefined on them. The rates are None where the task has none.
    `mean_gap` (regression) is the mean prediction's distance from that of all groups, in standard
    deviations of the target.
    """

    name: str
    rows: int
    judged: bool
    metric: float
    selection_rate: float | None = None
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None
    mean_gap: float | None = None


@dataclass(frozen=True)
class MeasuredGroups:
    """One column's groups. A difference is None where the task has none, or nothing to compare."""

    column: str
    groups: Sequence[Group]
    missing: int
    demographic_parity_difference: float | None = None
    equalized_odds_difference: float | None = None
    mean_prediction_gap: float | None = None


@dataclass(frozen=True)
class FairnessRules:
    """What may differ, and the metric on the whole holdout that the worst group is held to."""

    metric: str
    overall: float
    max_demographic_parity_difference: float
    max_equalized_odds_difference: float
    max_mean_prediction_gap: float
    max_worst_group_loss: float

    def loss(self, group: Group) -> float:
        """How much worse than overall the metric is in a group, relative; NaN if undefined."""
        return -over_baseline(group.metric, self.overall, self.metric)


def fairness(measured: Sequence[MeasuredGroups], rules: FairnessRules) -> Finding:
    """Passed if no difference between groups that are large enough is above its limit."""
    if not measured:
        return Finding(None, "no column tells groups apart", "gates.fairness.columns of the spec")
    judged = [column for column in measured if len(_judged(column)) > 1]
    most = max(2, min(MOST_SHOWN, MOST_IN_ALL // len(measured)))
    evidence = {
        "metric": rules.metric,
        "overall": rules.overall,
        "columns": [_column(column, rules, most) for column in measured],
    }
    required = _required(measured, rules)
    if not judged:
        seen = "no column has two groups with enough rows of the holdout: "
        return Finding(None, seen + "; ".join(_left_out(c) for c in measured), required, evidence)
    broken = [text for column in judged for text in _broken(column, rules)]
    told = broken or [_summary(column, rules) for column in judged]
    more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    left = [_left_out(column) for column in measured if _left_out(column)]
    beside = f" (not judged: {'; '.join(left[:MOST_TOLD])})" if left else ""
    seen = "; ".join(told[:MOST_TOLD]) + more + beside
    return Finding(not broken, seen, required, evidence)


def _judged(column: MeasuredGroups) -> list[Group]:
    return [group for group in column.groups if group.judged]


def _worst(column: MeasuredGroups, rules: FairnessRules) -> tuple[Group, float] | None:
    """The group that the metric is worst in, of those where it is defined."""
    known = [(group, rules.loss(group)) for group in _judged(column)]
    known = [(group, loss) for group, loss in known if math.isfinite(loss)]
    return max(known, key=lambda pair: pair[1], default=None)


def _differences(
    column: MeasuredGroups, rules: FairnessRules
) -> list[tuple[str, float | None, float]]:
    return [
        (
            "a demographic parity difference",
            column.demographic_parity_difference,
            rules.max_demographic_parity_difference,
        ),
        (
            "an equalized odds difference",
            column.equalized_odds_difference,
            rules.max_equalized_odds_difference,
        ),
        ("a mean prediction gap", column.mean_prediction_gap, rules.max_mean_prediction_gap),
    ]


def _broken(column: MeasuredGroups, rules: FairnessRules) -> list[str]:
    found = [
        f"{column.column}: {what} of {value:.3f}"
        for what, value, limit in _differences(column, rules)
        if value is not None and not value <= limit + ROUNDING
    ]
    worst = _worst(column, rules)
    if worst is not None and worst[1] > rules.max_worst_group_loss + ROUNDING:
        found.append(f"{column.column}: {_worst_told(worst, rules)}")
    return found


def _summary(column: MeasuredGroups, rules: FairnessRules) -> str:
    parts = [
        f"{what} of {value:.3f}"
        for what, value, _ in _differences(column, rules)
        if value is not None
    ]
    worst = _worst(column, rules)
    if worst is not None:
        parts.append(_worst_told(worst, rules))
    return f"{column.column}: {', '.join(parts) or 'nothing to compare'}"


def _worst_told(worst: tuple[Group, float], rules: FairnessRules) -> str:
    group, loss = worst
    word = "worse" if loss >= 0 else "better"
    return (
        f"group {group.name} {abs(loss):.1%} {word} than overall "
        f"({rules.metric} {group.metric:.6g} against {rules.overall:.6g})"
    )


def _left_out(column: MeasuredGroups) -> str:
    few = [group for group in column.groups if not group.judged]
    parts = []
    if few:
        names = ", ".join(f"{group.name} ({group.rows:,} rows)" for group in few[:MOST_TOLD])
        more = f" and {len(few) - MOST_TOLD} more" if len(few) > MOST_TOLD else ""
        parts.append(f"{names}{more}, too few rows")
    if column.missing:
        parts.append(f"{column.missing:,} rows without a value")
    return f"{column.column}: {', '.join(parts)}" if parts else ""


def _required(measured: Sequence[MeasuredGroups], rules: FairnessRules) -> str:
    limits = [
        f"{what.split(' ', 1)[1]} at most {limit:g}"
        for index, (what, _, limit) in enumerate(_differences(measured[0], rules))
        if any(_differences(column, rules)[index][1] is not None for column in measured)
    ]
    limits.append(f"no group more than {rules.max_worst_group_loss:.0%} worse than overall")
    return ", ".join(limits)


def _column(column: MeasuredGroups, rules: FairnessRules, most: int) -> dict[str, Any]:
    worst = _worst(column, rules)
    shown = sorted(column.groups, key=lambda group: -group.rows)
    if worst is not None and worst[0] not in shown[:most]:
        shown = [*shown[: most - 1], worst[0]]
    broken = len(_judged(column)) > 1 and bool(_broken(column, rules))
    return {
        "column": column.column,
        "verdict": "failed" if broken else "passed" if len(_judged(column)) > 1 else "not_judged",
        "missing": column.missing,
        "demographic_parity_difference": column.demographic_parity_difference,
        "equalized_odds_difference": column.equalized_odds_difference,
        "mean_prediction_gap": column.mean_prediction_gap,
        "worst_group": worst[0].name if worst else None,
        "worst_group_loss": worst[1] if worst else None,
        "groups_left_out": max(0, len(column.groups) - most),
        "groups": [_group(group) for group in shown[:most]],
    }


def _group(group: Group) -> dict[str, Any]:
    row = {
        "name": group.name,
        "rows": group.rows,
        "judged": group.judged,
        "metric": group.metric,
        "selection_rate": group.selection_rate,
        "true_positive_rate": group.true_positive_rate,
        "false_positive_rate": group.false_positive_rate,
        "mean_gap": group.mean_gap,
    }
    return {name: value for name, value in row.items() if value is not None}
