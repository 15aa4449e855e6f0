"""The table of metrics: every task has some, and each knows which way is better."""

import pytest

from include.evergreen.policy.metrics import METRICS, metrics_for


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
