"""Every metric of the table is computed, and what is undefined is NaN."""

import math

import numpy as np
import pytest

from include.evergreen.policy.metrics import METRICS, metrics_for
from include.evergreen.stages.training.scoring import score, scores

TRUTH = np.array([3.0, 5.0, 8.0])
LABELS = np.array(["no", "yes", "no", "yes"], dtype=object)
CLASSES = ("no", "yes")


def binary(probabilities, labels=None):
    p = np.array(probabilities, dtype=float)
    guessed = np.where(p >= 0.5, "yes", "no") if labels is None else np.array(labels)
    return {"prediction": guessed, "probability_no": 1 - p, "probability_yes": p}


@pytest.mark.parametrize(
    ("metric", "value"),
    [("rmse", 1.0), ("mae", 1.0), ("mape", (1 / 3 + 1 / 5 + 1 / 8) / 3), ("r2", 1 - 3 / 12.66667)],
)
def test_a_regression_is_scored(metric, value):
    assert score(metric, TRUTH, {"prediction": TRUTH + 1}) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("accuracy", 0.75),
        ("balanced_accuracy", 0.75),
        ("f1", 2 / 3),
        ("roc_auc", 1.0),
        ("average_precision", 1.0),
        ("brier", (0.01 + 0.01 + 0.09 + 0.36) / 4),
        ("log_loss", -np.log([0.9, 0.9, 0.7, 0.4]).mean()),
    ],
)
def test_a_binary_model_is_scored_about_its_second_class(metric, value):
    answer = binary([0.1, 0.9, 0.3, 0.4])
    assert score(metric, LABELS, answer, CLASSES) == pytest.approx(value)


def test_the_second_class_is_that_of_the_contract_not_of_the_alphabet():
    answer = binary([0.1, 0.9, 0.3, 0.4])
    one = score("average_precision", LABELS, answer, ("no", "yes"))
    other = score("average_precision", LABELS, binary([0.6, 0.9, 0.8, 0.4]), ("yes", "no"))
    assert one == 1.0
    assert other < 1.0


def test_a_class_the_model_never_saw_has_probability_zero():
    truth = np.array(["a", "b", "c"], dtype=object)
    answer = {
        "prediction": np.array(["a", "b", "a"]),
        "probability_a": np.array([0.8, 0.3, 0.6]),
        "probability_b": np.array([0.2, 0.7, 0.4]),
    }
    assert score("log_loss", truth, answer, ("a", "b", "c")) > 10
    assert score("macro_f1", truth, answer, ("a", "b", "c")) == pytest.approx(5 / 9)


@pytest.mark.parametrize("metric", metrics_for("regression"))
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_prediction_that_is_no_number_has_no_score(metric, bad):
    assert math.isnan(score(metric, TRUTH, {"prediction": np.array([1.0, bad, 2.0])}))


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "brier", "average_precision"])
def test_a_probability_that_is_no_number_has_no_score(metric):
    answer = binary([0.1, math.nan, 0.3, 0.4], ["no", "yes", "no", "no"])
    assert math.isnan(score(metric, LABELS, answer, CLASSES))


@pytest.mark.parametrize("metric", list(METRICS))
def test_no_rows_have_no_score(metric):
    classes = () if "regression" in METRICS[metric].tasks else CLASSES
    assert math.isnan(score(metric, np.array([]), binary([]), classes))


def test_roc_auc_of_one_class_is_undefined_and_r2_of_a_constant_too():
    assert math.isnan(score("roc_auc", LABELS[[0, 2]], binary([0.1, 0.3]), CLASSES))
    assert math.isnan(score("r2", np.ones(3), {"prediction": TRUTH}))


def test_all_metrics_of_a_task_that_are_defined_are_given():
    assert set(scores("regression", TRUTH, {"prediction": TRUTH})) == set(metrics_for("regression"))
    found = scores("binary", LABELS, binary([0.1, 0.9, 0.3, 0.4]), CLASSES)
    assert set(found) == set(metrics_for("binary"))


def test_a_label_outside_the_contract_is_an_error_that_names_it():
    with pytest.raises(ValueError, match="1 labels are no class of the contract: 'maybe'"):
        score("accuracy", np.array(["maybe"], dtype=object), binary([0.1]), CLASSES)
