"""A fitted estimator as one ONNX graph, by its kind.

Trees and linear models are written by rules of our own, after scikit-learn 1.9: skl2onnx converts
categories of HistGradientBoosting, its Poisson loss and missing values in forests, and what comes
out predicts something else. Any other estimator is converted by skl2onnx. Whoever asks compares
the two before anything is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from include.evergreen.adapters.onnx_models.closed import why_not_closed
from include.evergreen.adapters.onnx_models.graph import (
    MATRIX,
    PREDICTION,
    PROBABILITIES,
    Graph,
    both_shares,
    probabilities_of,
    renamed,
)
from include.evergreen.adapters.onnx_models.trees import add_trees, boosted_trees, forest_trees
from include.evergreen.effects import read

_LINKS = {"IdentityLink": "", "LogLink": "Exp"}
_TWO = 2


class NotConvertible(ValueError):
    """There is no graph for this estimator; the message says why."""


@read
def to_onnx(estimator: Any, *, n_features: int, codes: Mapping[int, int]) -> bytes:
    """A model with the input `matrix` and one output: `prediction` or `probabilities`.

    Args:
        estimator: fitted on [n_rows, n_features] float32, NaN for missing.
        n_features: columns of the matrix.
        codes: how many codes a categorical column of the matrix has, by its index.

    Returns:
        The serialized graph: [n_rows, n_features] float32 to [n_rows, 1] float32 for a regression,
        to [n_rows, n_classes] in the order of `estimator.classes_` for a classification.

    Raises:
        NotConvertible: there is no graph for it.
    """
    if isinstance(estimator, HistGradientBoostingRegressor | HistGradientBoostingClassifier):
        return _boosting(estimator, n_features, codes)
    if isinstance(estimator, RandomForestRegressor | RandomForestClassifier):
        return _forest(estimator, n_features)
    if _is_scaled_linear(estimator):
        return _linear(estimator, n_features)
    return _converted(estimator, n_features)


def _boosting(estimator: Any, n_features: int, codes: Mapping[int, int]) -> bytes:
    graph = Graph()
    n_targets = estimator.n_trees_per_iteration_
    trees = add_trees(graph, boosted_trees(estimator, codes), n_targets)
    baseline = np.asarray(estimator._baseline_prediction).reshape(1, -1)
    raw = graph.add("Add", [trees, graph.constant(baseline)])
    if isinstance(estimator, HistGradientBoostingClassifier):
        return _shares(graph, probabilities_of(graph, raw, len(estimator.classes_)), estimator)
    link = type(estimator._loss.link).__name__
    if link not in _LINKS:
        raise NotConvertible(f"a loss with the link {link} is not known")
    last = graph.add(_LINKS[link], [raw]) if _LINKS[link] else raw
    return graph.finish(last, output=PREDICTION, n_features=n_features, n_outputs=1)


def _forest(estimator: Any, n_features: int) -> bytes:
    graph = Graph()
    if isinstance(estimator, RandomForestRegressor):
        mean = add_trees(graph, forest_trees(estimator, 0), 1)
        return graph.finish(mean, output=PREDICTION, n_features=n_features, n_outputs=1)
    if len(estimator.classes_) != _TWO:
        raise NotConvertible("a forest whose leaves hold more than two classes")
    second = add_trees(graph, forest_trees(estimator, 1), 1)
    return _shares(graph, both_shares(graph, second), estimator)


def _is_scaled_linear(estimator: Any) -> bool:
    kinds = (SimpleImputer, StandardScaler, Ridge | LogisticRegression)
    steps = [step for _, step in estimator.steps] if isinstance(estimator, Pipeline) else []
    if len(steps) != len(kinds) or not all(map(isinstance, steps, kinds)):
        return False
    return not steps[0].add_indicator


def _linear(pipeline: Any, n_features: int) -> bytes:
    """The mean is taken off before anything is multiplied: float32 has too few digits for after."""
    imputer, scaler, model = (step for _, step in pipeline.steps)
    graph = Graph()
    missing = graph.add("IsNaN", [MATRIX])
    filled = graph.add("Where", [missing, graph.constant(imputer.statistics_), MATRIX])
    centred = graph.add("Sub", [filled, graph.constant(scaler.mean_)])
    weights = np.atleast_2d(model.coef_) / scaler.scale_
    product = graph.add("MatMul", [centred, graph.constant(weights.T)])
    raw = graph.add("Add", [product, graph.constant(np.atleast_1d(model.intercept_))])
    if isinstance(model, LogisticRegression):
        return _shares(graph, probabilities_of(graph, raw, len(model.classes_)), pipeline)
    return graph.finish(raw, output=PREDICTION, n_features=n_features, n_outputs=1)


def _converted(estimator: Any, n_features: int) -> bytes:
    """Whatever skl2onnx makes of it, with our names for input and output."""
    from skl2onnx import to_onnx as convert
    from skl2onnx.common.data_types import FloatTensorType

    is_classifier = hasattr(estimator, "predict_proba")
    options = {id(estimator): {"zipmap": False}} if is_classifier else None
    try:
        model = convert(
            estimator,
            initial_types=[(MATRIX, FloatTensorType([None, n_features]))],
            options=options,
        )
    except Exception as error:
        raise NotConvertible(f"skl2onnx cannot convert it: {error!r:.300}") from error
    named = renamed(model, PROBABILITIES if is_classifier else PREDICTION)
    why = why_not_closed(named)
    if why:
        raise NotConvertible(f"what skl2onnx makes of it may not be served: {why}")
    return bytes(named.SerializeToString())


def _shares(graph: Graph, last: str, estimator: Any) -> bytes:
    n_classes = len(estimator.classes_)
    return graph.finish(
        last, output=PROBABILITIES, n_features=estimator.n_features_in_, n_outputs=n_classes
    )
