"""Measures whether predictions mean what they say: a curve of predicted against observed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from include.evergreen.policy.gates import calibration as policy
from include.evergreen.policy.gates.finding import Finding
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import classes_of
from include.evergreen.stages.training.scoring import codes

#: Bins of as many rows as each other. A bin of 100 rows of a perfectly calibrated model is 0.04
#: off by chance: fewer rows would measure their own number.
ROWS_A_BIN = 100
MOST_BINS = 15
Array = npt.NDArray[Any]


def calibration(contest: Contest) -> Finding:
    """Of probabilities: binary of the second class, multiclass of the class that is predicted."""
    limits, answer = contest.spec.gates.calibration, contest.answers["challenger"]
    if contest.spec.task == "regression":
        predicted = np.asarray(answer["prediction"], dtype=np.float64)
        truth = np.asarray(contest.truth, dtype=np.float64)
        curve = curve_of(predicted, truth)
        return policy.mean_unbiased(curve, contest.target_spread, limits.max_bias)
    classes = classes_of(contest.spec)
    if contest.spec.task == "binary":
        probability = answer.get(f"probability_{classes[1]}", np.zeros(len(contest.truth)))
        came_true, of = codes(contest.truth, classes) == 1, f"the class {classes[1]}"
    else:
        shares = [values for name, values in answer.items() if name.startswith("probability_")]
        probability, of = np.max(shares, axis=0), "the predicted class"
        came_true = codes(answer["prediction"], classes) == codes(contest.truth, classes)
    curve = curve_of(np.asarray(probability, dtype=np.float64), came_true.astype(np.float64))
    return policy.probabilities_calibrated(curve, limits.max_error, of)


def curve_of(predicted: Array, observed: Array) -> list[policy.Bin]:
    """Bins of equally many neighbouring predictions; equal ones are never torn apart."""
    bins = max(1, min(MOST_BINS, len(predicted) // ROWS_A_BIN))
    order = np.argsort(predicted, kind="stable")
    ascending = predicted[order]
    cuts = np.linspace(0, len(order), bins + 1).astype(int)[1:-1]
    cuts = np.unique(np.searchsorted(ascending, ascending[cuts], side="left"))
    parts = [part for part in np.split(order, cuts) if len(part)]
    return [
        policy.Bin(float(predicted[part].mean()), float(observed[part].mean()), len(part))
        for part in parts
    ]
