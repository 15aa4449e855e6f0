"""The metrics of the table, computed by scikit-learn, from predictions as the Predictor makes them.

A prediction is a mapping: `prediction`, and for a classification `probability_<class>` for each
class. The class that F1, average precision, Brier and ROC AUC are about is the second one of the
contract. A metric that is undefined on these rows is NaN, which never wins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from include.evergreen.contracts import Task
from include.evergreen.policy.metrics import metrics_for

Array = npt.NDArray[Any]
Prediction = Mapping[str, Array]
_BINARY = 2
_TINY = 1e-15


def score(metric: str, truth: Array, prediction: Prediction, classes: Sequence[Any] = ()) -> float:
    """One metric; NaN where it is undefined, or where a prediction is no number.

    Args:
        metric: a name of `policy.metrics.METRICS`.
        truth: [n_rows] numbers, or class labels in the type of `classes`.
        prediction: as `Predictor.predict` returns it.
        classes: of the contract, in its order; empty for a regression.
    """
    if len(truth) == 0:
        return math.nan
    if classes:
        return _classification(metric, truth, prediction, classes)
    return _regression(metric, truth, prediction)


def scores(
    task: Task, truth: Array, prediction: Prediction, classes: Sequence[Any] = ()
) -> dict[str, float]:
    """Every metric that fits the task and is defined on these rows."""
    found = {name: score(name, truth, prediction, classes) for name in metrics_for(task)}
    return {name: value for name, value in found.items() if math.isfinite(value)}


_REGRESSION: dict[str, Callable[[Array, Array], Any]] = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "mape": metrics.mean_absolute_percentage_error,
    "r2": metrics.r2_score,
}


def _regression(metric: str, truth: Array, prediction: Prediction) -> float:
    predicted = np.asarray(prediction["prediction"], dtype=np.float64)
    actual = np.asarray(truth, dtype=np.float64)
    if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
        return math.nan
    if metric == "r2" and np.ptp(actual) == 0:
        return math.nan
    return float(_REGRESSION[metric](actual, predicted))


def _classification(
    metric: str, truth: Array, prediction: Prediction, classes: Sequence[Any]
) -> float:
    actual = codes(truth, classes)
    if metric in _OF_LABELS:
        return float(_OF_LABELS[metric](actual, codes(prediction["prediction"], classes)))
    probabilities = _probabilities(prediction, classes)
    if not np.isfinite(probabilities).all():
        return math.nan
    if metric == "log_loss":
        chosen = probabilities[np.arange(len(actual)), actual]
        return float(-np.log(np.clip(chosen, _TINY, 1.0)).mean())
    return _of_second_class(metric, actual, probabilities[:, 1])


def _balanced_accuracy(actual: Array, predicted: Array) -> float:
    """The mean recall of the classes that occur; scikit-learn's warns about those that do not."""
    recalls = [float((predicted[actual == code] == code).mean()) for code in np.unique(actual)]
    return sum(recalls) / len(recalls)


def _macro_f1(actual: Array, predicted: Array) -> Any:
    labels = np.unique(actual)
    return metrics.f1_score(actual, predicted, labels=labels, average="macro", zero_division=0)


def _f1(actual: Array, predicted: Array) -> Any:
    return metrics.f1_score(actual, predicted, pos_label=1, zero_division=0)


_OF_LABELS: dict[str, Callable[[Array, Array], Any]] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": _balanced_accuracy,
    "macro_f1": _macro_f1,
    "f1": _f1,
}


def _of_second_class(metric: str, actual: Array, probability: Array) -> float:
    if metric == "brier":
        return float(np.square(probability - actual).mean())
    if len(np.unique(actual)) < _BINARY:
        return math.nan
    if metric == "roc_auc":
        return float(metrics.roc_auc_score(actual, probability))
    if metric == "average_precision":
        return float(metrics.average_precision_score(actual, probability))
    raise ValueError(f"No metric is called {metric!r}.")


def codes(labels: Array, classes: Sequence[Any]) -> npt.NDArray[np.int64]:
    """The index of each label among the classes of the contract.

    Raises:
        ValueError: a label is none of them.
    """
    index = {label: code for code, label in enumerate(classes)}
    values = np.asarray(labels).tolist()
    unknown = {repr(value) for value in values if value not in index}
    if unknown:
        raise ValueError(
            f"{len(unknown)} labels are no class of the contract: {', '.join(sorted(unknown)[:10])}"
        )
    return np.fromiter((index[value] for value in values), dtype=np.int64, count=len(values))


def _probabilities(prediction: Prediction, classes: Sequence[Any]) -> npt.NDArray[np.float64]:
    """[n_rows, n_classes]; a class the model does not know has probability 0."""
    n_rows = len(prediction["prediction"])
    nothing = np.zeros(n_rows)
    columns = [prediction.get(f"probability_{label}", nothing) for label in classes]
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
