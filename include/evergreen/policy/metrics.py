"""The metrics a model may be judged by: which tasks each fits, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

from include.evergreen.contracts import Task

CLASSIFICATION: tuple[Task, ...] = ("binary", "multiclass")


@dataclass(frozen=True)
class Metric:
    """One metric. `greater_is_better` is False for errors and losses."""

    name: str
    tasks: tuple[Task, ...]
    greater_is_better: bool


#: Name -> metric. F1, average precision and ROC AUC are of the second class of the contract.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rmse", ("regression",), greater_is_better=False),
        Metric("mae", ("regression",), greater_is_better=False),
        Metric("mape", ("regression",), greater_is_better=False),
        Metric("r2", ("regression",), greater_is_better=True),
        Metric("accuracy", CLASSIFICATION, greater_is_better=True),
        Metric("balanced_accuracy", CLASSIFICATION, greater_is_better=True),
        Metric("log_loss", CLASSIFICATION, greater_is_better=False),
        Metric("roc_auc", ("binary",), greater_is_better=True),
        Metric("brier", ("binary",), greater_is_better=False),
        Metric("f1", ("binary",), greater_is_better=True),
        Metric("average_precision", ("binary",), greater_is_better=True),
        Metric("macro_f1", ("multiclass",), greater_is_better=True),
    )
}


def metrics_for(task: Task) -> tuple[str, ...]:
    """The names of the metrics that fit a task, in the table's order."""
    return tuple(name for name, metric in METRICS.items() if task in metric.tasks)
