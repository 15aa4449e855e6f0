"""What each estimator may be tuned to, its defaults, and how it is built. Same seed, same model.

A trial's parameters are named `<estimator>.<parameter>`, beside `estimator` itself, so that one
study searches over all estimators of a spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from include.evergreen.contracts import Task

ESTIMATOR = "estimator"
Encoding = Literal["ordinal", "linear"]


class Asks(Protocol):
    """The part of a trial that a search space uses."""

    def choice(self, name: str, values: Sequence[Any]) -> Any: ...
    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...


@dataclass(frozen=True)
class Facts:
    """What a search space may depend on: facts of the train part, the same for every trial."""

    task: Task
    n_rows: int
    is_count: bool = False
    categorical_indices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """An estimator with its parameters: what a trial found and what is fitted again."""

    estimator: str
    params: dict[str, Any] = field(default_factory=dict)

    def as_trial(self) -> dict[str, Any]:
        """The names and values under which a study knows this recipe."""
        named = {f"{self.estimator}.{name}": value for name, value in self.params.items()}
        return {ESTIMATOR: self.estimator, **named}

    @classmethod
    def from_trial(cls, params: Mapping[str, Any]) -> Recipe:
        """The recipe of a trial's parameters, the inverse of `as_trial`."""
        name = str(params[ESTIMATOR])
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in params.items() if k.startswith(prefix)}
        return cls(name, own)


@dataclass(frozen=True)
class Space:
    """One estimator: how its features are encoded, what is searched, and where one starts."""

    encoding: Encoding
    suggest: Callable[[Asks, str, Facts], dict[str, Any]]
    defaults: Mapping[str, Any]
    build: Callable[[Mapping[str, Any], Facts, int, int], Any]


def _suggest_boosting(trial: Asks, at: str, facts: Facts) -> dict[str, Any]:
    params = {
        "learning_rate": trial.real(f"{at}.learning_rate", 0.02, 0.3, log=True),
        "max_iter": trial.integer(f"{at}.max_iter", 50, 400, log=True),
        "max_leaf_nodes": trial.integer(f"{at}.max_leaf_nodes", 7, 127, log=True),
        "min_samples_leaf": trial.integer(f"{at}.min_samples_leaf", 5, 100, log=True),
        "l2_regularization": trial.real(f"{at}.l2_regularization", 1e-6, 10.0, log=True),
        "max_features": trial.real(f"{at}.max_features", 0.4, 1.0),
    }
    if facts.task == "regression" and facts.is_count:
        params["loss"] = trial.choice(f"{at}.loss", ("squared_error", "poisson"))
    return params


def _build_boosting(params: Mapping[str, Any], facts: Facts, seed: int, threads: int) -> Any:
    del threads  # OpenMP's own limit is set around the fit
    regression = facts.task == "regression"
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    return kind(
        **params,
        categorical_features=list(facts.categorical_indices) or None,
        early_stopping=False,
        random_state=seed,
    )


def _suggest_forest(trial: Asks, at: str, facts: Facts) -> dict[str, Any]:
    del facts
    return {
        "n_estimators": trial.integer(f"{at}.n_estimators", 30, 120),
        "max_depth": trial.integer(f"{at}.max_depth", 4, 16),
        "min_samples_leaf": trial.integer(f"{at}.min_samples_leaf", 2, 50, log=True),
        "max_features": trial.real(f"{at}.max_features", 0.2, 1.0),
    }


def _build_forest(params: Mapping[str, Any], facts: Facts, seed: int, threads: int) -> Any:
    regression = facts.task == "regression"
    kind = RandomForestRegressor if regression else RandomForestClassifier
    return kind(**params, max_samples=_forest_rows(facts), n_jobs=threads, random_state=seed)


def _forest_rows(facts: Facts) -> int | None:
    """Rows a tree is grown on: beyond this, time and size grow and the forest hardly gains."""
    most = 100_000
    return most if facts.n_rows > most else None


def _suggest_ridge(trial: Asks, at: str, facts: Facts) -> dict[str, Any]:
    del facts
    return {"alpha": trial.real(f"{at}.alpha", 1e-3, 1e3, log=True)}


def _build_ridge(params: Mapping[str, Any], facts: Facts, seed: int, threads: int) -> Pipeline:
    del facts, threads
    return _scaled(Ridge(**params, random_state=seed))


def _suggest_logistic(trial: Asks, at: str, facts: Facts) -> dict[str, Any]:
    del facts
    return {
        "C": trial.real(f"{at}.C", 1e-3, 1e2, log=True),
        "class_weight": trial.choice(f"{at}.class_weight", ("none", "balanced")),
    }


def _build_logistic(params: Mapping[str, Any], facts: Facts, seed: int, threads: int) -> Pipeline:
    del facts, threads
    weight = None if params["class_weight"] == "none" else params["class_weight"]
    return _scaled(
        LogisticRegression(C=params["C"], class_weight=weight, max_iter=500, random_state=seed)
    )


def _scaled(estimator: Any) -> Pipeline:
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), estimator)


#: Name -> space. Defaults are the first thing a study tries after the champion's parameters.
SPACES: dict[str, Space] = {
    "hist_gradient_boosting": Space(
        "ordinal",
        _suggest_boosting,
        {
            "learning_rate": 0.1,
            "max_iter": 150,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2_regularization": 1e-6,
            "max_features": 1.0,
            "loss": "squared_error",
        },
        _build_boosting,
    ),
    "random_forest": Space(
        "ordinal",
        _suggest_forest,
        {"n_estimators": 60, "max_depth": 14, "min_samples_leaf": 2, "max_features": 0.6},
        _build_forest,
    ),
    "ridge": Space("linear", _suggest_ridge, {"alpha": 1.0}, _build_ridge),
    "logistic_regression": Space(
        "linear", _suggest_logistic, {"C": 1.0, "class_weight": "none"}, _build_logistic
    ),
}


def default_recipe(name: str, facts: Facts) -> Recipe:
    """Where the search over one estimator begins."""
    params = dict(SPACES[name].defaults)
    if not (facts.task == "regression" and facts.is_count):
        params.pop("loss", None)
    return Recipe(name, params)
