"""Fits a recipe on rows: the features of its encoding, the classes of the contract, one seed.

The same rows, recipe, seed and number of threads give the same model.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import polars as pl
import threadpoolctl  # type: ignore[import-untyped]
from sklearn.exceptions import ConvergenceWarning

from include.evergreen.errors import SpecError
from include.evergreen.model_code import features
from include.evergreen.model_code.plan import make_plan
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import columns_of, contract_of
from include.evergreen.stages.training import search_spaces
from include.evergreen.stages.training.builders import Builder, builder_path, load_builder
from include.evergreen.stages.training.scoring import Prediction, codes
from include.evergreen.stages.training.search_spaces import SPACES, Asks, Encoding, Facts, Recipe

Matrix = npt.NDArray[np.float32]
Array = npt.NDArray[Any]


#: Below this many cells of the matrix a thread more of OpenMP costs more than it brings.
CELLS_A_THREAD = 500_000


@dataclass(frozen=True)
class Fit:
    """A fitted estimator with what it was fitted by."""

    estimator: Any
    encoding: Encoding
    plan: dict[str, Any]
    recipe: Recipe


class Kitchen:
    """All recipes of a spec on one set of rows; features are computed once an encoding."""

    def __init__(self, spec: ModelSpec, models_dir: Path, frame: pl.DataFrame) -> None:
        self._spec = spec
        self._models_dir = models_dir
        self._contract = contract_of(spec)
        self._columns = columns_of(frame, self._contract)
        self.classes = classes_of(spec)
        self.target = target_of(frame, spec)
        self.times = times_of(frame, spec)
        self._prepared: dict[Encoding, tuple[dict[str, Any], Matrix]] = {}

    def matrix(self, encoding: Encoding) -> Matrix:
        """[n_rows, n_features] float32, NaN for missing."""
        return self._prepare(encoding)[1]

    def _prepare(self, encoding: Encoding) -> tuple[dict[str, Any], Matrix]:
        if encoding not in self._prepared:
            wanted = self._spec.features.model_dump(mode="json")
            plan = make_plan(wanted, self._contract, encoding, self._columns)
            self._prepared[encoding] = plan, features.transform(self._columns, plan)
        return self._prepared[encoding]

    @functools.cached_property
    def _facts(self) -> Facts:
        is_count = not self.classes and bool(
            np.all(self.target >= 0) and np.any(self.target > 0) and _is_whole(self.target)
        )
        return Facts(self._spec.task, len(self.target), is_count)

    def encoding(self, name: str) -> Encoding:
        return self._builder(name).encoding if ":" in name else SPACES[name].encoding

    def defaults(self, name: str) -> Recipe:
        """What to try first of an estimator."""
        return Recipe(name) if ":" in name else search_spaces.default_recipe(name, self._facts)

    def suggest(self, trial: Asks, estimators: Sequence[str]) -> Recipe:
        """The recipe a trial asks for."""
        name = str(trial.choice(search_spaces.ESTIMATOR, list(estimators)))
        if ":" in name:
            return Recipe(name, self._builder(name).suggest(trial))
        return Recipe(name, SPACES[name].suggest(trial, name, self._facts))

    def fit(self, recipe: Recipe, threads: int, rows: npt.NDArray[np.int64] | None = None) -> Fit:
        """Fit on these rows (all: None). A regression on numbers, else on codes of the classes."""
        encoding = self.encoding(recipe.estimator)
        plan, matrix = self._prepare(encoding)
        estimator = self._build(recipe, plan, threads)
        target = self.target if rows is None else self.target[rows]
        with limited(threads, matrix.size):
            estimator.fit(matrix if rows is None else matrix[rows], target)
        return Fit(estimator, encoding, plan, recipe)

    def predict(self, fit: Fit, rows: npt.NDArray[np.int64], threads: int) -> Prediction:
        """What a fit says of these rows; a class it never saw has no probability."""
        matrix = self._prepare(fit.encoding)[1][rows]
        with limited(threads, matrix.size):
            if not self.classes:
                return {"prediction": np.asarray(fit.estimator.predict(matrix), dtype=np.float64)}
            shares = np.asarray(fit.estimator.predict_proba(matrix), dtype=np.float64)
        known = np.asarray(fit.estimator.classes_, dtype=np.int64)
        labels = np.array(self.classes, dtype=object)
        answer: dict[str, Array] = {"prediction": labels[known[shares.argmax(axis=1)]]}
        for column, code in enumerate(known):
            answer[f"probability_{self.classes[code]}"] = shares[:, column]
        return answer

    def truth(self, rows: npt.NDArray[np.int64]) -> Array:
        """The target of these rows, as the contract has it."""
        if not self.classes:
            return self.target[rows]
        return np.array(self.classes, dtype=object)[self.target[rows]]

    def builder(self, name: str) -> Builder | None:
        """The user's builder behind a recipe's estimator; None for one of ours."""
        return self._builder(name) if ":" in name else None

    def _build(self, recipe: Recipe, plan: dict[str, Any], threads: int) -> Any:
        if ":" in recipe.estimator:
            return self._builder(recipe.estimator).build(recipe.params, self._spec.task)
        facts = Facts(
            self._facts.task,
            self._facts.n_rows,
            self._facts.is_count,
            tuple(features.categorical_indices(plan)),
        )
        seed = self._spec.training.seed
        return SPACES[recipe.estimator].build(recipe.params, facts, seed, threads)

    @functools.lru_cache(maxsize=16)  # noqa: B019 - a kitchen lives as long as its task
    def _builder(self, name: str) -> Builder:
        return load_builder(name, self._models_dir)


def check_builders(spec: ModelSpec, models_dir: Path) -> tuple[Path, ...]:
    """The files of the spec's builders, each loaded once and able to build; else BuilderRefused."""
    names = [name for name in spec.training.estimators if ":" in name]
    for name in names:
        load_builder(name, models_dir)
    return tuple(builder_path(name, models_dir) for name in names)


def classes_of(spec: ModelSpec) -> list[Any]:
    """The classes of the contract in its order; none for a regression."""
    if spec.task == "regression":
        return []
    column = spec.data.columns[spec.data.target]
    if column.type == "boolean":
        return [False, True]
    if not column.values:
        raise SpecError(f"{spec.model}: the target of a {spec.task} model lists its values.")
    return list(column.values)


def target_of(frame: pl.DataFrame, spec: ModelSpec) -> Array:
    """[n_rows] float64, or int64 codes of the contract's classes."""
    series = frame[spec.data.target]
    classes = classes_of(spec)
    if not classes:
        return series.cast(pl.Float64).to_numpy()
    return codes(np.array(series.to_list(), dtype=object), classes)


def times_of(frame: pl.DataFrame, spec: ModelSpec) -> Array | None:
    """[n_rows] microseconds since 1970, or None where the model has no time column."""
    if spec.data.time is None:
        return None
    return frame[spec.data.time].cast(pl.Datetime("us", "UTC")).to_physical().to_numpy()


def threads_of(workers: int) -> int:
    """The threads of one of so many workers: the cores this process may use, shared fairly."""
    return max(1, int(joblib.cpu_count()) // max(1, workers))


@contextlib.contextmanager
def limited(threads: int, cells: int) -> Iterator[None]:
    """At most so many threads, in OpenMP, BLAS and joblib; joblib starts no process.

    A matrix of few `cells` gets one thread of OpenMP: its threads meet after every node of every
    tree, and on a busy machine each such meeting waits for the scheduler (150 trees on 1,700 rows
    took 50 s with two threads beside other work, and 2 s with one).
    """
    with (
        threadpoolctl.threadpool_limits(limits=min(threads, 1 + cells // CELLS_A_THREAD)),
        joblib.parallel_config(backend="threading", n_jobs=threads),
        warnings.catch_warnings(),
    ):
        # A linear model that stopped early is a candidate like any other: its score decides.
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _is_whole(values: Array) -> bool:
    return bool(np.all(values == np.floor(values)))
