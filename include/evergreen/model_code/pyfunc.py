"""The registered model as stock MLflow sees it: raw columns in, predictions out, no pickle.

MLflow runs this file (models-from-code) in a process that need not have the project: the code that
prepares and checks rows comes from the bundle, once its digests were found right. The manifest is
taken at its word here; whoever has its recorded digest checks that first.

A regression gives a 1-D float64 array, a classification a frame with `prediction` and
`probability_<class>`.
"""

import datetime as dt
import hashlib
import json
import types
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd


class BundleModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Predicts with the bundle that was logged as the artifact `bundle`."""

    def load_context(self, context: Any) -> None:
        directory = Path(context.artifacts["bundle"])
        recorded = json.loads((directory / "manifest.json").read_bytes())["files"]["predictor.py"]
        source = (directory / "predictor.py").read_bytes()
        if hashlib.sha256(source).hexdigest() != recorded:
            raise ValueError(
                f"{directory}: predictor.py is not the one the manifest records. Nothing was run."
            )
        code = types.ModuleType("predictor")
        exec(compile(source, "<bundle>/predictor.py", "exec"), code.__dict__)  # noqa: S102 - checked
        self.predictor = code.Predictor.load(directory)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002 - a type hint here would become MLflow's schema
        """Predictions of raw rows; ValueError names every field that breaks the contract."""
        frame = pd.DataFrame(model_input)
        columns = {str(name): _raw_values(frame[name]) for name in frame.columns}
        answer = self.predictor.predict(self.predictor.parse(columns))
        if self.predictor.task == "regression":
            return answer["prediction"]
        return pd.DataFrame(answer, index=frame.index)


def _raw_values(series: pd.Series) -> list[Any]:
    """The values as JSON would carry them: None for missing, times as ISO 8601 text.

    A datetime without a zone is in UTC, for MLflow's signatures take no other.
    """
    missing = series.isna().to_numpy()
    return [
        None if gone else _raw_value(value)
        for value, gone in zip(series.tolist(), missing, strict=True)
    ]


def _raw_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return f"{value.isoformat()}+00:00"
    return value.isoformat() if isinstance(value, dt.date) else value


mlflow.models.set_model(BundleModel())
