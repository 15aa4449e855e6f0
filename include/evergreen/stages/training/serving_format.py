"""Chooses what a model is served as: an ONNX graph where that is the model, else scikit-learn.

The graph answers one row a hundred times sooner. It stands for the estimator only if both say the
same of every row of the holdout.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from include.evergreen.adapters.onnx_models import NotConvertible, to_onnx
from include.evergreen.model_code import features, predictor
from include.evergreen.policy.parity import MOST, Parity, why_not_the_same

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServingFormat:
    """`onnx` is the graph, None where scikit-learn itself serves; `reason` says why."""

    onnx: bytes | None
    reason: str


def serving_format(
    estimator: Any, plan: features.Plan, matrix: Any, classes: Sequence[Any] | None
) -> ServingFormat:
    """The graph of a fitted estimator if it answers as the estimator does.

    Args:
        estimator: fitted on matrices of `plan`.
        plan: the feature plan.
        matrix: [n_rows, n_features] float32 of the holdout.
        classes: the labels in the order of the probabilities; None for a regression.
    """
    try:
        graph = to_onnx(estimator, n_features=matrix.shape[1], codes=_codes(plan))
        converted = predictor.OnnxEstimator(graph)
        parity = compare(
            predictor.predictions(estimator, matrix, classes),
            predictor.predictions(converted, matrix, classes),
        )
    except (NotConvertible, predictor.BundleRefused) as error:
        return _sklearn(f"no ONNX: {error}")
    why = why_not_the_same(parity)
    if why:
        return _sklearn(f"its ONNX is not the same: {why}")
    return ServingFormat(
        graph, f"ONNX: within {parity.largest:.1g} of scikit-learn on {parity.rows:,} rows"
    )


def _sklearn(why: str) -> ServingFormat:
    log.warning("Served by scikit-learn, which is slower: %s", why)
    return ServingFormat(None, f"scikit-learn: {why}")


def _codes(plan: features.Plan) -> dict[int, int]:
    names = features.feature_names(plan)
    sizes = {
        step["names"][0]: len(step["categories"])
        for step in plan["steps"]
        if step["kind"] == "category"
    }
    return {index: sizes[names[index]] for index in features.categorical_indices(plan)}


def compare(ours: dict[str, Any], theirs: dict[str, Any]) -> Parity:
    """How far the predictions of two models of the same rows are apart.

    Another label counts where ours was no tie: between equal shares either is right.
    """
    labels = np.zeros(len(ours["prediction"]), dtype=bool)
    largest = 0.0
    for name, wanted in ours.items():
        seen = theirs[name]
        if name == "prediction" and len(ours) > 1:
            labels = (wanted != seen) & ~_is_tie(ours)
        elif len(wanted):
            scale = np.maximum(np.abs(wanted), max(float(np.std(wanted)), np.finfo(float).tiny))
            # NaN on either side is larger than any limit, and NumPy's max keeps it.
            largest = float(np.maximum(largest, np.max(np.abs(seen - wanted) / scale)))
    return Parity(len(labels), largest, int(labels.sum()))


def _is_tie(answer: dict[str, Any]) -> Any:
    shares = np.sort([values for name, values in answer.items() if name != "prediction"], axis=0)
    return shares[-1] - shares[-2] <= MOST
