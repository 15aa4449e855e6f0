"""Later rows judge earlier ones; no row is on both sides."""

import numpy as np
import pytest

from include.evergreen.stages.training.folds import make_folds


def test_with_a_time_each_fold_learns_only_from_what_was_before():
    times = np.repeat(np.arange(100), 24)
    folds = make_folds(np.zeros(2400), times, n=3, seed=1, classes=False)
    assert len(folds) == 3
    for fold in folds:
        assert times[fold.train].max() < times[fold.validation].min()
    assert [len(fold.train) for fold in folds] == [600, 1200, 1800]
    assert sum(len(fold.validation) for fold in folds) == 1800


def test_rows_of_one_time_are_never_torn_apart():
    times = np.sort(np.random.default_rng(1).integers(0, 9, 1000))
    for fold in make_folds(np.zeros(1000), times, n=5, seed=1, classes=False):
        assert not set(times[fold.train]) & set(times[fold.validation])


@pytest.mark.parametrize("classes", [True, False])
def test_without_a_time_every_row_is_scored_once(classes):
    target = np.arange(90) % 3
    folds = make_folds(target, None, n=4, seed=1, classes=classes)
    seen = np.concatenate([fold.validation for fold in folds])
    assert sorted(seen) == list(range(90))
    for fold in folds:
        assert not set(fold.train) & set(fold.validation)


def test_folds_of_classes_resemble_each_other():
    target = np.array([0] * 80 + [1] * 8)
    for fold in make_folds(target, None, n=4, seed=1, classes=True):
        assert (target[fold.validation] == 1).sum() == 2


def test_a_fold_that_lacks_a_class_is_left_out():
    target = np.array([0] * 50 + [1] * 50 + [0, 1] * 50)
    folds = make_folds(target, np.arange(200), n=3, seed=1, classes=True)
    for fold in folds:
        assert set(target[fold.train]) == set(target[fold.validation]) == {0, 1}


def test_where_no_fold_in_time_shows_all_classes_rows_are_dealt_out():
    target = np.array([0] * 100 + [1] * 10)
    folds = make_folds(target, np.arange(110), n=3, seed=1, classes=True)
    assert len(folds) == 3
    assert all(set(target[fold.validation]) == {0, 1} for fold in folds)


def test_all_rows_at_one_time_are_dealt_out():
    assert len(make_folds(np.arange(50.0), np.zeros(50), n=3, seed=1, classes=False)) == 3


def test_the_same_seed_gives_the_same_folds():
    one, two = (make_folds(np.arange(50.0), None, n=3, seed=5, classes=False) for _ in range(2))
    assert all((a.train == b.train).all() for a, b in zip(one, two, strict=True))
