"""The metrics a model may be judged by: which tasks each fits, and which way is better.

Two tables: our own, and the scorers of scikit-learn that a prediction and the truth are enough
for. scikit-learn is not asked, for a spec is read where it may not be imported; a test holds the
second table equal to what it lists.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.evergreen.contracts import Task

REGRESSION: tuple[Task, ...] = ("regression",)
BINARY: tuple[Task, ...] = ("binary",)
MULTICLASS: tuple[Task, ...] = ("multiclass",)
CLASSIFICATION: tuple[Task, ...] = (*BINARY, *MULTICLASS)


@dataclass(frozen=True)
class Metric:
    """One metric. `greater_is_better` is False for errors and losses."""

    name: str
    tasks: tuple[Task, ...]
    greater_is_better: bool

    @property
    def best(self) -> float:
        """What a perfect model has: 0 for errors (and scikit-learn's negated ones), else 1."""
        return 1.0 if self.greater_is_better and not self.name.startswith("neg_") else 0.0


#: Name -> metric. F1, average precision and ROC AUC are of the second class of the contract.
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rmse", REGRESSION, greater_is_better=False),
        Metric("mae", REGRESSION, greater_is_better=False),
        Metric("mape", REGRESSION, greater_is_better=False),
        Metric("r2", REGRESSION, greater_is_better=True),
        Metric("accuracy", CLASSIFICATION, greater_is_better=True),
        Metric("balanced_accuracy", CLASSIFICATION, greater_is_better=True),
        Metric("log_loss", CLASSIFICATION, greater_is_better=False),
        Metric("roc_auc", BINARY, greater_is_better=True),
        Metric("brier", BINARY, greater_is_better=False),
        Metric("f1", BINARY, greater_is_better=True),
        Metric("average_precision", BINARY, greater_is_better=True),
        Metric("macro_f1", MULTICLASS, greater_is_better=True),
    )
}

#: Tasks -> scikit-learn's scorers for them, beyond those that `METRICS` has by the same name.
_SCORERS: dict[tuple[Task, ...], tuple[str, ...]] = {
    REGRESSION: (
        "d2_absolute_error_score",
        "explained_variance",
        "neg_max_error",
        "neg_mean_absolute_error",
        "neg_mean_absolute_percentage_error",
        "neg_mean_gamma_deviance",
        "neg_mean_poisson_deviance",
        "neg_mean_squared_error",
        "neg_mean_squared_log_error",
        "neg_median_absolute_error",
        "neg_root_mean_squared_error",
        "neg_root_mean_squared_log_error",
    ),
    BINARY: ("jaccard", "precision", "recall"),
    CLASSIFICATION: (
        "d2_brier_score",
        "d2_log_loss_score",
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "jaccard_macro",
        "jaccard_micro",
        "jaccard_weighted",
        "matthews_corrcoef",
        "neg_brier_score",
        "neg_log_loss",
        "precision_macro",
        "precision_micro",
        "precision_weighted",
        "recall_macro",
        "recall_micro",
        "recall_weighted",
        "roc_auc_ovo",
        "roc_auc_ovo_weighted",
        "roc_auc_ovr",
        "roc_auc_ovr_weighted",
    ),
    MULTICLASS: ("top_k_accuracy",),  # of two classes the best two are always right
}
#: Name -> scorer of scikit-learn. Of all of them more is better.
SCORERS: dict[str, Metric] = {
    name: Metric(name, tasks, greater_is_better=True)
    for tasks, names in _SCORERS.items()
    for name in names
}

_OF_CLUSTERS = "it compares two ways to group rows, whatever the groups are called"
_OF_LABEL_SETS = "it is for rows with several labels each, and a target here is one value"
_UNDEFINED = (
    "it is undefined for a model that always says the same, as the naive baseline does, and for a "
    "perfect one"
)
#: scikit-learn's other scorers -> why no model can be judged by it.
NO_JUDGES: dict[str, str] = {
    "adjusted_mutual_info_score": _OF_CLUSTERS,
    "adjusted_rand_score": _OF_CLUSTERS,
    "completeness_score": _OF_CLUSTERS,
    "fowlkes_mallows_score": _OF_CLUSTERS,
    "homogeneity_score": _OF_CLUSTERS,
    "mutual_info_score": _OF_CLUSTERS,
    "normalized_mutual_info_score": _OF_CLUSTERS,
    "rand_score": _OF_CLUSTERS,
    "v_measure_score": _OF_CLUSTERS,
    "f1_samples": _OF_LABEL_SETS,
    "jaccard_samples": _OF_LABEL_SETS,
    "precision_samples": _OF_LABEL_SETS,
    "recall_samples": _OF_LABEL_SETS,
    "positive_likelihood_ratio": _UNDEFINED,
    "neg_negative_likelihood_ratio": _UNDEFINED,
}

#: Every name that a spec may use.
KNOWN: dict[str, Metric] = METRICS | SCORERS


def metrics_for(task: Task) -> tuple[str, ...]:
    """The names of our own metrics that fit a task, in the table's order."""
    return tuple(name for name, metric in METRICS.items() if task in metric.tasks)


def scorers_for(task: Task) -> tuple[str, ...]:
    """The names of scikit-learn's scorers that fit a task, beyond `metrics_for`."""
    return tuple(name for name, metric in SCORERS.items() if task in metric.tasks)
