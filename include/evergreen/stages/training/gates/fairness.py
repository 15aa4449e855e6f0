"""Measures what differs between the groups of a column, with fairlearn.

Binary: demographic parity (the share that gets the second class), equalised odds (the true and the
false positive rate of it) and the worst group's metric. Multiclass: the worst group's metric.
Regression: that, and the difference in the mean prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from include.evergreen.policy.gates import fairness as policy
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import classes_of
from include.evergreen.stages.training.scoring import codes

#: A rate of one class in a group says nothing of fewer rows of it; such a group has no part in
#: the equalised odds.
RATE_ROWS = 20
_RATES = {"selection_rate": 1, "true_positive_rate": RATE_ROWS, "false_positive_rate": RATE_ROWS}
_LONGEST = 40
Array = npt.NDArray[Any]


def fairness(contest: Contest) -> Finding:
    """Of the challenger, on the groups of the holdout that have enough rows."""
    limits = contest.spec.gates.fairness
    rules = policy.FairnessRules(
        metric=contest.metric,
        overall=contest.scores["challenger"].value,
        max_demographic_parity_difference=limits.max_demographic_parity_difference,
        max_equalized_odds_difference=limits.max_equalized_odds_difference,
        max_mean_prediction_gap=limits.max_mean_prediction_gap,
        max_worst_group_loss=limits.max_worst_group_loss,
    )
    return policy.fairness([_measured(contest, column) for column in limits.columns], rules)


def _measured(contest: Contest, column: str) -> policy.MeasuredGroups:
    series = contest.holdout[column]
    places = np.flatnonzero(series.is_not_null().to_numpy())
    values = np.array([str(value) for value in series.drop_nulls().to_list()], dtype=object)
    least = contest.spec.gates.fairness.min_rows
    parts = {name: places[values == name] for name in np.unique(values)}
    extra, differences = _of_task(contest, parts, least)
    groups = tuple(
        policy.Group(
            name[:_LONGEST],
            len(rows),
            judged=len(rows) >= least,
            metric=contest.score_part("challenger", rows) if len(rows) >= least else math.nan,
            **extra.get(name, {}),
        )
        for name, rows in parts.items()
    )
    return policy.MeasuredGroups(column, groups, int(series.null_count()), **differences)


def _of_task(
    contest: Contest, parts: Mapping[str, Array], least: int
) -> tuple[dict[str, dict[str, float | None]], dict[str, float | None]]:
    """What each judged group has beside its metric, and the differences between them."""
    judged = {name: rows for name, rows in parts.items() if len(rows) >= least}
    if not judged or contest.spec.task == "multiclass":
        return {}, {}
    if contest.spec.task == "binary":
        return _rates(contest, judged)
    spread = contest.target_spread
    if spread == 0:
        return {}, {}
    predicted = np.asarray(contest.answers["challenger"]["prediction"], dtype=np.float64)
    gaps = {
        n: float(predicted[rows].mean() - predicted.mean()) / spread for n, rows in judged.items()
    }
    gap = max(gaps.values()) - min(gaps.values())
    return {n: {"mean_gap": gap_} for n, gap_ in gaps.items()}, {"mean_prediction_gap": gap}


def _rates(
    contest: Contest, judged: Mapping[str, Array]
) -> tuple[dict[str, dict[str, float | None]], dict[str, float | None]]:
    from fairlearn import metrics  # type: ignore[import-untyped]

    classes = classes_of(contest.spec)
    rows = np.concatenate(list(judged.values()))
    names = np.concatenate([np.full(len(part), name, object) for name, part in judged.items()])
    truth = codes(contest.truth[rows], classes)
    said = codes(contest.answers["challenger"]["prediction"][rows], classes)
    frame = metrics.MetricFrame(
        metrics={name: getattr(metrics, name) for name in _RATES},
        y_true=truth,
        y_pred=said,
        sensitive_features=names,
    ).by_group
    rates: dict[str, dict[str, float | None]] = {}
    for name in judged:
        of_it = truth[names == name]
        positives, negatives = int((of_it == 1).sum()), int((of_it == 0).sum())
        enough = {"selection_rate": 1, "true_positive_rate": positives}
        enough["false_positive_rate"] = negatives
        rates[name] = {
            rate: float(frame.loc[name, rate]) if enough[rate] >= least else None
            for rate, least in _RATES.items()
        }
    comparable = [name for name, row in rates.items() if None not in row.values()]
    return rates, {
        measure: _between(getattr(metrics, measure), truth, said, names, among)
        for measure, among in (
            ("demographic_parity_difference", list(rates)),
            ("equalized_odds_difference", comparable),
        )
    }


def _between(
    measure: Any, truth: Array, said: Array, names: Array, among: Sequence[str]
) -> float | None:
    """A difference between these groups; None where they are fewer than two."""
    if len(among) < 2:  # noqa: PLR2004
        return None
    rows = np.isin(names, among)
    return float(measure(truth[rows], said[rows], sensitive_features=names[rows]))
