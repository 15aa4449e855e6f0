"""Contests of made-up answers: a gate looks at what was said, not at who said it."""

from pathlib import Path

import numpy as np
import polars as pl

from include.evergreen.spec import ModelSpec
from include.evergreen.stages.training.baseline import default_baseline, predict_naively
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.recipes import classes_of, target_of

COLUMNS = {
    "town": {"type": "category", "values": ["north", "south", "west"], "max_null_share": 0.5},
    "age": {"type": "integer", "max_null_share": 0.5},
    "income": {"type": "float", "max_null_share": 0.5},
    "member": {"type": "boolean", "max_null_share": 0.5},
}
TARGETS = {
    "regression": {"type": "float"},
    "binary": {"type": "category", "values": ["no", "yes"]},
    "multiclass": {"type": "category", "values": ["a", "b", "c"]},
}
METRICS = {"regression": "rmse", "binary": "accuracy", "multiclass": "accuracy"}


def spec_of(task: str, gates: dict | None = None, **data) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "model": "made_up",
            "task": task,
            "data": {
                "landing": "landing/made_up",
                "target": "y",
                "columns": {**COLUMNS, "y": TARGETS[task]},
                **data,
            },
            "training": {"metric": METRICS[task]},
            "gates": gates or {},
        }
    )


def people(n_rows: int, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "town": rng.choice(["north", "south", "west"], n_rows, p=[0.6, 0.35, 0.05]),
            "age": rng.integers(18, 80, n_rows),
            "income": rng.lognormal(10, 1, n_rows),
            "member": rng.random(n_rows) < 0.5,
        }
    )


def shares(probability: np.ndarray, threshold: float = 0.5) -> dict:
    """A binary answer of these probabilities of `yes`."""
    said = np.where(probability >= threshold, "yes", "no")
    return {"prediction": said, "probability_no": 1 - probability, "probability_yes": probability}


def contest_of(spec: ModelSpec, rows: pl.DataFrame, challenger: dict, champion=None) -> Contest:
    """Challenger and champion answer as given, the baseline as it would; half are learned from."""
    target = target_of(rows, spec)
    naive = predict_naively(default_baseline(spec.task), target, target, None, classes_of(spec))
    answers = {"challenger": challenger, "baseline": naive}
    if champion is not None:
        answers["champion"] = champion
    return Contest(
        spec=spec,
        train=rows,
        holdout=rows,
        challenger=None,
        bundle=Path("nowhere"),
        answers=answers,
        champion_version=None if champion is None else 4,
    )
