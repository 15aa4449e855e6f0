"""The model that all sides of `serving.py` answer with: boosted trees on twenty features.

Ours is a bundle and takes raw columns (numbers, categories, a time); the peers get the estimator
itself and rows of its twenty features, so they check nothing and compute no feature.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor

from include.evergreen.model_code.features import categorical_indices, transform
from include.evergreen.model_code.plan import make_plan
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import columns_of, contract_of, raw_rows, write_bundle
from include.evergreen.stages.training.serving_format import serving_format

N_ROWS, N_NUMBERS = 20_000, 13
MODEL = "bench"


@dataclass(frozen=True)
class Served:
    """The bundles by kind with their digests, the estimator as a file, and rows to ask with."""

    onnx: tuple[Path, str]
    sklearn: tuple[Path, str]
    estimator: Path
    #: Raw rows as ours takes them, and the same rows as [n, 20] floats.
    rows: list[dict[str, Any]]
    matrix: list[list[float]]


def make(folder: Path) -> Served:
    """Fit the model and write all that the sides need into an empty folder."""
    spec, frame = _spec(), _frame()
    contract = contract_of(spec)
    columns = columns_of(frame, contract)
    plan = make_plan(spec.features.model_dump(mode="json"), contract, "ordinal", columns)
    matrix = transform(columns, plan)
    estimator = HistGradientBoostingRegressor(
        max_iter=100, categorical_features=categorical_indices(plan), random_state=7
    )
    estimator.fit(matrix, frame["target"].to_numpy())
    served = serving_format(estimator, plan, matrix, None)
    if served.onnx is None:
        raise SystemExit(f"The model is not served by ONNX Runtime: {served.reason}")
    bundles = {}
    for kind, graph in (("onnx", served.onnx), ("sklearn", None)):
        target = folder / kind
        digest = write_bundle(
            target,
            spec=spec,
            estimator=estimator,
            encoding="ordinal",
            plan=plan,
            training_key="bench",
            golden=raw_rows(frame.head(20), contract),
            onnx=graph,
        )
        bundles[kind] = (target, digest)
    path = folder / "estimator.joblib"
    joblib.dump(estimator, path)
    asked = slice(0, 1_000)
    rows = json.loads(json.dumps(raw_rows(frame[asked], contract)))
    # JSON has no NaN; the peers get a number instead.
    numbers = np.nan_to_num(matrix[asked]).astype(float).tolist()
    return Served(bundles["onnx"], bundles["sklearn"], path, rows, numbers)


def _spec() -> ModelSpec:
    columns: dict[str, Any] = {
        f"n{i}": {"type": "float", "min": -100, "max": 100, "max_null_share": 0.1}
        for i in range(N_NUMBERS)
    }
    columns |= {
        "colour": {"type": "category", "values": ["red", "green", "blue"]},
        "grade": {"type": "category", "values": list(range(1, 13)), "unseen": "as_missing"},
        "flag": {"type": "boolean"},
        "count": {"type": "integer", "min": 0},
        "target": {"type": "float"},
    }
    data = {"landing": "landing/bench", "time": "at", "target": "target", "columns": columns}
    return ModelSpec.model_validate(
        {
            "model": MODEL,
            "task": "regression",
            "data": data,
            "features": {"calendar": ["hour", "weekday", "month"]},
            "training": {"metric": "rmse"},
        }
    )


def _frame() -> pl.DataFrame:
    rng = np.random.default_rng(11)
    numbers = rng.normal(0, 20, (N_ROWS, N_NUMBERS)).clip(-100, 100).round(3)
    start = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    grade = rng.integers(1, 13, N_ROWS)
    count = rng.integers(0, 500, N_ROWS)
    hour = np.arange(N_ROWS) % 24
    target = numbers[:, 0] + np.abs(numbers[:, 1]) + 4 * grade + 0.1 * count + 3 * hour
    return pl.DataFrame(
        {
            **{f"n{i}": numbers[:, i] for i in range(N_NUMBERS)},
            "colour": rng.choice(["red", "green", "blue"], N_ROWS),
            "grade": grade,
            "flag": rng.random(N_ROWS) < 0.3,
            "count": count,
            "at": [start + dt.timedelta(hours=i) for i in range(N_ROWS)],
            "target": target + rng.normal(0, 2, N_ROWS),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )
