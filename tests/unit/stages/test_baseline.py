"""What a model must beat: mean, majority, last value."""

import numpy as np
import pytest

from include.evergreen.stages.training.baseline import default_baseline, predict_naively


def test_the_default_fits_the_task():
    assert default_baseline("regression") == "mean"
    assert default_baseline("binary") == default_baseline("multiclass") == "majority"


def test_the_mean_is_that_of_the_train_part():
    answer = predict_naively("mean", np.array([1.0, 3.0]), np.array([100.0]), None, ())
    assert answer["prediction"].tolist() == [2.0]


def test_the_majority_gives_the_shares_of_the_train_part():
    answer = predict_naively("majority", np.array([0, 1, 1, 1]), np.array([0]), None, ("no", "yes"))
    assert answer["prediction"].tolist() == ["yes"]
    assert answer["probability_yes"].tolist() == [0.75]


def test_the_last_value_is_that_of_the_newest_row_strictly_before():
    train, holdout = np.array([1.0, 2.0]), np.array([5.0, 6.0, 7.0])
    times = np.array([10, 20]), np.array([30, 30, 40])
    answer = predict_naively("last_value", train, holdout, times, ())
    assert answer["prediction"].tolist() == [2.0, 2.0, 6.0]


def test_the_last_class_is_as_sure_as_classes_use_to_stay():
    train = np.array([0, 0, 0, 1, 1])
    times = np.arange(5), np.array([5, 6])
    answer = predict_naively("last_value", train, np.array([1, 0]), times, ("no", "yes"))
    assert answer["prediction"].tolist() == ["yes", "yes"]
    assert answer["probability_yes"] == pytest.approx([0.75, 0.75])
    assert answer["probability_no"] == pytest.approx([0.25, 0.25])
