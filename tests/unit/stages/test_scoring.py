"""Every metric of the table is computed, and what is undefined is NaN."""

import logging
import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, PoissonRegressor
from sklearn.metrics import get_scorer, get_scorer_names

from include.evergreen.policy.metrics import KNOWN, METRICS, metrics_for, scorers_for
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


def drawn(task, n=300):
    """A model of scikit-learn's own, its rows and targets, and the same as a prediction of ours.

    The labels are not in the order of the alphabet, and the classes of the contract are.
    """
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, 3))
    if task == "regression":
        target = rng.poisson(np.exp(0.5 * rows[:, 0] + 1)) + 1.0
        model = PoissonRegressor().fit(rows, target)
        return model, rows, target, target, {"prediction": model.predict(rows)}, ()
    names = np.array(["zeta", "alpha", "mid"], dtype=object)[: 2 if task == "binary" else 3]
    ranks = (rows[:, 0] + rng.normal(size=n)).argsort().argsort()
    codes = ranks * len(names) // n
    model = LogisticRegression().fit(rows, codes)
    shares = model.predict_proba(rows).astype(np.float32)
    answer = {"prediction": names[model.predict(rows)]}
    answer |= {f"probability_{name}": shares[:, i] for i, name in enumerate(names)}
    return model, rows, codes, names[codes], answer, tuple(names)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_scorer_says_what_scikit_learns_own_says_of_the_model(task):
    model, rows, target, truth, answer, classes = drawn(task)
    named = [name for name, metric in KNOWN.items() if task in metric.tasks]
    shared = [name for name in named if name in get_scorer_names()]
    assert len(shared) > 10
    expected = {name: get_scorer(name)(model, rows, target) for name in shared}
    found = {name: score(name, truth, answer, classes) for name in shared}
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_scorer_has_a_baseline_to_beat(task):
    *_, truth, answer, classes = drawn(task)
    n, first = len(truth), truth[0]
    naive = {"prediction": np.full(n, np.mean(truth) if task == "regression" else first)}
    naive |= {f"probability_{name}": np.full(n, float(name == first)) for name in classes}
    for metric in scorers_for(task):
        assert score(metric, truth, naive, classes) < score(metric, truth, answer, classes), metric


@pytest.mark.parametrize(
    ("metric", "sign"),
    [("neg_mean_gamma_deviance", -1), ("neg_mean_poisson_deviance", -1)],
)
def test_a_scorer_that_raises_has_no_score_and_says_why(metric, sign, caplog):
    with caplog.at_level(logging.WARNING):
        assert math.isnan(score(metric, sign * TRUTH, {"prediction": TRUTH}))
    assert f"No {metric} on these 3 rows:" in caplog.text


@pytest.mark.parametrize(
    "metric", ["roc_auc_ovo", "roc_auc_ovr_weighted", "d2_log_loss_score", "matthews_corrcoef"]
)
def test_a_scorer_that_tells_classes_apart_is_undefined_on_one(metric):
    *_, truth, answer, classes = drawn("multiclass")
    one = truth == "mid"
    alone = {name: column[one] for name, column in answer.items()}
    assert math.isnan(score(metric, truth[one], alone, classes))


@pytest.mark.parametrize("metric", ["explained_variance", "d2_absolute_error_score"])
def test_a_share_of_the_variation_is_undefined_where_there_is_none(metric):
    assert math.isnan(score(metric, np.ones(3), {"prediction": TRUTH}))


def test_a_class_that_does_not_occur_leaves_a_scorer_its_score():
    *_, truth, answer, classes = drawn("multiclass")
    two = truth != "mid"
    kept = {name: column[two] for name, column in answer.items()}
    for metric in ("neg_log_loss", "neg_brier_score", "top_k_accuracy", "f1_weighted"):
        assert math.isfinite(score(metric, truth[two], kept, classes)), metric


def test_what_is_no_probability_has_no_score_by_a_scorer_and_says_so(caplog):
    answer = {"prediction": LABELS, "probability_no": np.ones(4), "probability_yes": np.ones(4)}
    assert math.isnan(score("neg_log_loss", LABELS, answer, CLASSES))
    assert "No neg_log_loss: the probabilities of a row do not add up to 1" in caplog.text


def test_the_scorers_that_are_asked_for_are_given_too():
    answer = binary([0.1, 0.9, 0.3, 0.4])
    found = scores("binary", LABELS, answer, CLASSES, ("f1", "matthews_corrcoef"))
    assert list(found) == [*metrics_for("binary"), "matthews_corrcoef"]
