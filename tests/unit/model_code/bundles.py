"""Two small fitted models, a regression and a multiclass one, in bundles."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from include.evergreen.model_code.features import categorical_indices, transform
from include.evergreen.model_code.plan import make_plan
from include.evergreen.spec import ModelSpec
from include.evergreen.stages import bundle
from include.evergreen.stages.training.serving_format import serving_format

RIDES = {
    "model": "rides",
    "task": "regression",
    "data": {
        "landing": "landing/rides",
        "time": "at",
        "key": "ride",
        "target": "count",
        "columns": {
            "temperature": {"type": "float", "min": -30, "max": 50, "max_null_share": 0.1},
            "humidity": {"type": "integer", "min": 0, "max": 100},
            "weather": {"type": "category", "values": ["clear", "mist", "rain"]},
            "season": {"type": "category", "values": [1, 2, 3, 4], "unseen": "as_missing"},
            "holiday": {"type": "boolean"},
            "count": {"type": "integer", "min": 0},
        },
    },
    "features": {
        "calendar": ["hour", "weekday"],
        "ratios": {"damp": {"numerator": "humidity", "denominator": "temperature"}},
    },
    "training": {"metric": "rmse"},
}


@dataclass(frozen=True)
class Made:
    """A bundle on disk, its manifest's digest, and what it was made from."""

    spec: ModelSpec
    directory: Path
    digest: str
    estimator: Any
    plan: dict[str, Any]
    rows: list[dict[str, Any]]


def rides_frame(n_rows: int = 300, seed: int = 7) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    start = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    temperature = rng.normal(10, 8, n_rows).clip(-20, 40).round(1)
    hour = np.arange(n_rows) % 24
    return pl.DataFrame(
        {
            "ride": [f"r{i}" for i in range(n_rows)],
            "at": [start + dt.timedelta(hours=i) for i in range(n_rows)],
            "temperature": [None if i % 17 == 0 else float(t) for i, t in enumerate(temperature)],
            "humidity": rng.integers(20, 100, n_rows),
            "weather": rng.choice(["clear", "mist", "rain"], n_rows),
            "season": rng.integers(1, 5, n_rows),
            "holiday": rng.random(n_rows) < 0.1,
            "count": (100 + 5 * temperature + 3 * hour + rng.normal(0, 4, n_rows)).clip(0).round(),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "humidity": pl.Int64},
    )


def make(directory: Path, spec: ModelSpec, frame: pl.DataFrame, *, graph: bool = False) -> Made:
    """A bundle of boosted trees, as an ONNX graph or as scikit-learn's own."""
    contract = bundle.contract_of(spec)
    columns = bundle.columns_of(frame, contract)
    plan = make_plan(spec.features.model_dump(mode="json"), contract, "ordinal", columns)
    kind = HistGradientBoostingRegressor
    if spec.task != "regression":
        kind = HistGradientBoostingClassifier
    estimator = kind(
        max_iter=20, categorical_features=categorical_indices(plan) or None, random_state=7
    )
    estimator.fit(transform(columns, plan), frame[spec.data.target].to_numpy())
    rows = bundle.raw_rows(frame.head(40), contract)
    onnx = None
    if graph:
        matrix = transform(columns, plan)
        classes = None if spec.task == "regression" else list(estimator.classes_)
        onnx = serving_format(estimator, plan, matrix, classes).onnx
        assert onnx is not None
    digest = bundle.write_bundle(
        directory,
        spec=spec,
        estimator=estimator,
        encoding="ordinal",
        plan=plan,
        training_key="k" * 64,
        golden=rows,
        onnx=onnx,
    )
    return Made(spec, directory, digest, estimator, plan, rows)


def make_rides(directory: Path) -> Made:
    """A regression: how many rides in this hour."""
    return make(directory, ModelSpec.model_validate(RIDES), rides_frame())


def make_rides_graph(directory: Path) -> Made:
    """The same regression as a graph."""
    return make(directory, ModelSpec.model_validate(RIDES), rides_frame(), graph=True)


def make_weather(directory: Path) -> Made:
    """A multiclass model: which weather it is, from all else."""
    document = {**RIDES, "model": "weather", "task": "multiclass"}
    document["data"] = {**RIDES["data"], "target": "weather"}
    document["training"] = {"metric": "accuracy"}
    return make(directory, ModelSpec.model_validate(document), rides_frame())
