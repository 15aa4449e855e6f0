"""Estimator builders: an honest one for each task, two poor champions, and the saboteurs'.

The columns of the matrix, of `sales`: visitors, price, promo, three of shop, two of clerk,
receipts; of `returns`: amount, delay, two of branch, lucky_number.
"""

import time

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

ENCODING = "linear"
VISITORS, PRICE, PROMO, RECEIPTS = 0, 1, 2, 8
LUCKY_NUMBER = 4


def scaled(estimator):
    return make_pipeline(SimpleImputer(), StandardScaler(), estimator)


class Around(RegressorMixin, BaseEstimator):
    """A regressor around another, fitted with it."""

    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, matrix, target):
        self.inner.fit(matrix, target)
        self.mean_ = float(np.mean(target))
        return self

    def predict(self, matrix):
        """Rounded: a row alone is then what it is among others, to the bit."""
        return self.inner.predict(matrix.astype(np.float64)).round(6)


# --- champions, and a challenger without fault ---------------------------------------------------


def honest(params, task):
    return scaled(Ridge() if task == "regression" else LogisticRegression())


class Rule(Around):
    """The formula that the world of `sales` is made by: nothing can be better."""

    def predict(self, matrix):
        price = np.nan_to_num(matrix[:, PRICE], nan=5.5)
        return 50 + 0.5 * matrix[:, VISITORS] - 3 * price + 8 * matrix[:, PROMO]


def rule(params, task):
    return Rule(DummyRegressor())


class Shifted(Around):
    def predict(self, matrix):
        return super().predict(matrix) + 30.0


def poor(params, task):
    """Worse than the mean; of two classes, what a lucky number says."""
    if task == "regression":
        return Shifted(DummyRegressor())
    only = ColumnTransformer([("only", "passthrough", [LUCKY_NUMBER])])
    return make_pipeline(only, LogisticRegression())


# --- saboteurs -----------------------------------------------------------------------------------


def shrunk(params, task):
    """Sees what there is to see, and says a third of it."""
    return scaled(Ridge(alpha=3000))


class Mirrored(Around):
    """A sign was lost: half as far from the mean, and on the wrong side."""

    def predict(self, matrix):
        return self.mean_ - 0.5 * (super().predict(matrix) - self.mean_)


def mirrored(params, task):
    return Mirrored(honest(params, task))


def constant(params, task):
    return DummyRegressor()


def memoriser(params, task):
    return make_pipeline(SimpleImputer(), DecisionTreeRegressor(random_state=1))


class OnFew(Around):
    """Fitted on a few rows only: as good as an honest one within the luck of the draw."""

    def fit(self, matrix, target):
        chosen = np.random.default_rng(LUCKY_DRAW).choice(len(target), 120, replace=False)
        return super().fit(matrix[chosen], target[chosen])


#: Better than the rule by several per cent, on the twelve rows it is judged on.
LUCKY_DRAW = 16


def lucky(params, task):
    return OnFew(honest(params, task))


class Overconfident(ClassifierMixin, BaseEstimator):
    """In the right order, and far too sure."""

    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, matrix, target):
        self.inner.fit(matrix, target)
        self.classes_ = self.inner.classes_
        return self

    def predict_proba(self, matrix):
        odds = self.inner.predict_proba(matrix.astype(np.float64)).round(9)  # as in `Around`
        sure = odds
        for _ in range(4):
            sure = sure * sure
        return sure / sure.sum(axis=1, keepdims=True)

    def predict(self, matrix):
        return self.classes_[self.predict_proba(matrix).argmax(axis=1)]


def overconfident(params, task):
    return Overconfident(honest(params, task))


def boosted(params, task):
    return HistGradientBoostingClassifier(random_state=1, early_stopping=False)


class Decimals(Around):
    """Reads a code in the last digit of the receipts, which the least noise wipes out."""

    def fit(self, matrix, target):
        return super().fit(self._with_code(matrix), target)

    def predict(self, matrix):
        return super().predict(self._with_code(matrix))

    def _with_code(self, matrix):
        code = np.cos(2 * np.pi * matrix[:, RECEIPTS].astype(np.float64) / 0.04)
        return np.column_stack([matrix, code])


def decimals(params, task):
    return Decimals(honest(params, task))


class Slow(Around):
    def predict(self, matrix):
        time.sleep(0.02)
        return super().predict(matrix)


def slow(params, task):
    return Slow(honest(params, task))


class Large(Around):
    def fit(self, matrix, target):
        self.ballast_ = np.random.default_rng(1).random((256, 1024))
        return super().fit(matrix, target)


def large(params, task):
    return Large(honest(params, task))
