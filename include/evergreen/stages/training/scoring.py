"""The metrics of the tables, computed by scikit-learn, from what the Predictor answers.

A prediction is a mapping: `prediction`, and for a classification `probability_<class>` for each
class. The class that F1, average precision, Brier and ROC AUC are about is the second one of the
contract. A metric that is undefined on these rows is NaN, which never wins.
"""

from __future__ import annotations

import functools
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning

from include.evergreen.contracts import Task
from include.evergreen.policy.metrics import SCORERS, metrics_for

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Prediction = Mapping[str, Array]
_BINARY = 2
_TINY = 1e-15
#: Float32 probabilities of many classes add up to 1 this well; scikit-learn wants it to 1e-8.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Rows:
    """What a metric compares, row by row, so that rows can be drawn again without another look.

    Args:
        actual: [n_rows] float64, or for classes their int64 codes in the contract's order.
        answer: what is compared with it: [n_rows] of the same kind, or
            [n_rows, n_classes] float64 for a metric of probabilities.
        n_classes: 0 for a regression.
    """

    actual: Array
    answer: Array
    n_classes: int = 0

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def are_numbers(self) -> bool:
        """Whether none is NaN or infinite."""
        return bool(np.isfinite(self.actual).all() and np.isfinite(self.answer).all())

    def take(self, indices: npt.NDArray[np.int64]) -> Rows:
        return Rows(self.actual[indices], self.answer[indices], self.n_classes)


def score(metric: str, truth: Array, prediction: Prediction, classes: Sequence[Any] = ()) -> float:
    """One metric; NaN where it is undefined, or where a prediction is no number.

    Args:
        metric: a name of `policy.metrics.KNOWN`.
        truth: [n_rows] numbers, or class labels in the type of `classes`.
        prediction: as `Predictor.predict` returns it.
        classes: of the contract, in its order; empty for a regression.
    """
    if len(truth) == 0:
        return math.nan
    return value_of(metric, rows_of(metric, truth, prediction, classes))


def scores(
    task: Task,
    truth: Array,
    prediction: Prediction,
    classes: Sequence[Any] = (),
    also: Sequence[str] = (),
) -> dict[str, float]:
    """Our own metrics that fit the task, and those named, as far as defined on these rows."""
    names = dict.fromkeys((*metrics_for(task), *also))
    found = {name: score(name, truth, prediction, classes) for name in names}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def rows_of(metric: str, truth: Array, prediction: Prediction, classes: Sequence[Any] = ()) -> Rows:
    """What this metric compares. For the arguments see `score`."""
    if not classes:
        predicted = np.asarray(prediction["prediction"], dtype=np.float64)
        return Rows(np.asarray(truth, dtype=np.float64), predicted)
    if asks_for_labels(metric):
        answer: Array = codes(prediction["prediction"], classes)
    else:
        answer = _probabilities(prediction, classes)
    return Rows(codes(truth, classes), answer, len(classes))


def value_of(metric: str, rows: Rows) -> float:
    """The metric of these rows; see `score`."""
    if not (len(rows) and rows.are_numbers):
        return math.nan
    if metric in _OF_SPREAD and (rows.actual == rows.actual[0]).all():
        return math.nan
    if metric in SCORERS:
        return _by_scorer(metric, rows)
    compare = _OF_NUMBERS.get(metric) or _OF_LABELS.get(metric)
    if compare:
        return float(compare(rows.actual, rows.answer))
    if metric == "log_loss":
        return float(log_losses(rows).mean())
    return _of_second_class(metric, rows.actual, rows.answer[:, 1])


def log_losses(rows: Rows) -> npt.NDArray[np.float64]:
    """[n_rows] what each row adds to the log loss."""
    chosen = rows.answer[np.arange(len(rows)), rows.actual]
    return np.asarray(-np.log(np.clip(chosen, _TINY, 1.0)))


def asks_for_labels(metric: str) -> bool:
    """Whether a metric of a classification looks at labels; else at probabilities."""
    if metric in SCORERS:
        return bool(_scorer(metric)._response_method == "predict")  # noqa: SLF001
    return metric in _OF_LABELS


#: What tells rows apart, or is a share of what the target varies by: undefined where it does not.
_OF_SPREAD = frozenset(
    {
        "roc_auc_ovo",
        "roc_auc_ovo_weighted",
        "roc_auc_ovr",
        "roc_auc_ovr_weighted",
        "r2",
        "explained_variance",
        "d2_absolute_error_score",
        "d2_brier_score",
        "d2_log_loss_score",
        "matthews_corrcoef",
    }
)


@functools.cache
def _scorer(name: str) -> Any:
    return metrics.get_scorer(name)


def _by_scorer(metric: str, rows: Rows) -> float:
    """What scikit-learn's own scorer says. It raises where a metric is undefined: that is NaN."""
    scorer = _scorer(metric)
    arguments, answer = dict(scorer._kwargs), rows.answer  # noqa: SLF001
    if answer.ndim > 1:
        totals = answer.sum(axis=1, keepdims=True)
        if (np.abs(totals - 1) > _SUM_TOLERANCE).any():
            log.warning("No %s: the probabilities of a row do not add up to 1", metric)
            return math.nan
        answer = answer / totals
        answer = answer[:, 1] if rows.n_classes == _BINARY else answer
        arguments["labels"] = np.arange(rows.n_classes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            value = scorer._sign * scorer._score_func(rows.actual, answer, **arguments)  # noqa: SLF001
    except ValueError as error:
        log.warning("No %s on these %s rows: %s", metric, f"{len(rows):,}", error)
        return math.nan
    return float(value) if math.isfinite(value) else math.nan


_OF_NUMBERS: dict[str, Callable[[Array, Array], Any]] = {
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "mape": metrics.mean_absolute_percentage_error,
    "r2": metrics.r2_score,
}


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
