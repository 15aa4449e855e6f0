"""The table of metrics: every task has some, and each knows which way is better."""

import pytest
from sklearn.metrics import get_scorer_names

from include.evergreen.policy.metrics import (
    KNOWN,
    METRICS,
    NO_JUDGES,
    SCORERS,
    metrics_for,
    scorers_for,
)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("regression", {"rmse", "mae", "mape", "r2"}),
        (
            "binary",
            {
                "accuracy", "balanced_accuracy", "roc_auc", "log_loss", "brier", "f1",
                "average_precision",
            },
        ),
        ("multiclass", {"macro_f1", "log_loss", "accuracy", "balanced_accuracy"}),
    ],
)  # fmt: skip
def test_each_task_has_its_metrics(task, expected):
    assert set(metrics_for(task)) == expected


def test_errors_and_losses_are_better_when_smaller():
    smaller = {name for name, metric in METRICS.items() if not metric.greater_is_better}
    assert smaller == {"rmse", "mae", "mape", "log_loss", "brier"}
    assert all(name == metric.name for name, metric in METRICS.items())


def test_the_scorers_are_those_of_the_installed_scikit_learn():
    listed = set(get_scorer_names())
    ours = listed & set(METRICS)
    assert ours == {"accuracy", "average_precision", "balanced_accuracy", "f1", "r2", "roc_auc"}
    assert listed == set(SCORERS) | set(NO_JUDGES) | ours
    assert not set(SCORERS) & (set(NO_JUDGES) | set(METRICS)), "one name, one meaning"
    assert all(NO_JUDGES.values()), "each with its reason"


def test_of_every_scorer_more_is_better_and_the_negated_ones_end_at_zero():
    assert all(scorer.greater_is_better for scorer in SCORERS.values())
    at_zero = {name for name, metric in KNOWN.items() if metric.best == 0}
    errors = {"rmse", "mae", "mape", "log_loss", "brier"}
    assert at_zero == errors | {name for name in SCORERS if name.startswith("neg_")}
    assert all(metric.best == 1 for name, metric in KNOWN.items() if name not in at_zero)


@pytest.mark.parametrize(
    ("task", "has", "has_not"),
    [
        ("regression", "neg_median_absolute_error", "matthews_corrcoef"),
        ("binary", "precision", "top_k_accuracy"),
        ("multiclass", "top_k_accuracy", "precision"),
    ],
)
def test_a_scorer_is_for_its_tasks(task, has, has_not):
    assert has in scorers_for(task)
    assert has_not not in scorers_for(task)
