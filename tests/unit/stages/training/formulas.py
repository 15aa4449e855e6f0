"""Contests of a challenger that is a formula of the raw columns, asked as a model is asked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import contract_of
from include.evergreen.stages.training.baseline import default_baseline, predict_naively
from include.evergreen.stages.training.contest import Contest, predict
from include.evergreen.stages.training.recipes import classes_of, target_of

COLUMNS: dict[str, dict] = {
    "load": {"type": "float", "min": 0, "max": 100, "max_null_share": 0.1},
    "floor": {"type": "integer", "min": 0, "max": 5},
    "door": {"type": "category", "values": ["left", "right"]},
    "open": {"type": "boolean"},
}
TARGETS: dict[str, dict] = {
    "regression": {"type": "float"},
    "binary": {"type": "category", "values": ["no", "yes"]},
    "multiclass": {"type": "category", "values": ["low", "middle", "high"]},
}
METRICS = {"regression": "rmse", "binary": "roc_auc", "multiclass": "accuracy"}
Typed = dict[str, Any]


class Formula:
    """As a `Predictor`: `says` takes typed columns to the answer's arrays."""

    def __init__(self, spec: ModelSpec, says: Callable[[Typed], dict[str, Any]]) -> None:
        self.contract = contract_of(spec)
        self.golden = {"rows": [{"load": 1.0}, {"load": 2.0}]}
        self.says = says
        self.asked: list[int] = []

    def predict(self, columns: Typed) -> dict[str, Any]:
        self.asked.append(len(columns["load"]))
        return self.says(columns)

    def predict_one(self, raw: Typed) -> None:
        """As for a row that is not plainly right: `parse` has to look at it."""

    def parse(self, columns: Typed) -> Typed:
        return columns


def lifts(n_rows: int, seed: int = 5) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "load": random.uniform(0, 100, n_rows),
            "floor": random.integers(0, 6, n_rows),
            "door": random.choice(["left", "right"], n_rows),
            "open": random.random(n_rows) < 0.5,
        }
    )


def spec_of(task: str, gates: dict | None = None, columns: dict | None = None) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "model": "lifts",
            "task": task,
            "data": {
                "landing": "landing/lifts",
                "target": "y",
                "columns": {**(COLUMNS if columns is None else columns), "y": TARGETS[task]},
            },
            "training": {"metric": METRICS[task]},
            "gates": gates or {},
        }
    )


def contest(
    spec: ModelSpec,
    says: Callable[[Typed], dict[str, Any]],
    train: pl.DataFrame,
    holdout: pl.DataFrame | None = None,
    bundle: Path = Path("nowhere"),
) -> Contest:
    """The formula against the naive baseline; without a holdout it is judged on what it learned."""
    rows = train if holdout is None else holdout
    challenger = Formula(spec, says)
    naive = predict_naively(
        default_baseline(spec.task),
        target_of(train, spec),
        target_of(rows, spec),
        None,
        classes_of(spec),
    )
    answers = {"challenger": predict(challenger, rows), "baseline": naive}  # type: ignore[arg-type]
    return Contest(spec, train, rows, challenger, bundle, answers)  # type: ignore[arg-type]


def number(values: Any) -> dict[str, Any]:
    return {"prediction": np.asarray(values, dtype=np.float64)}


def chance(values: Any) -> dict[str, Any]:
    """A binary answer of these probabilities of `yes`."""
    probability = np.asarray(values, dtype=np.float64)
    said = np.where(probability >= 0.5, "yes", "no")
    return {"prediction": said, "probability_no": 1 - probability, "probability_yes": probability}


def label(values: Any) -> dict[str, Any]:
    """A multiclass answer without a doubt."""
    said = np.asarray(values)
    shares = {f"probability_{name}": (said == name) * 1.0 for name in ("low", "middle", "high")}
    return {"prediction": said, **shares}
