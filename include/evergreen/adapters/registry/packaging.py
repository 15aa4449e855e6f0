"""Writes a bundle as a model that stock MLflow loads: models-from-code, no pickle, raw columns.

The requirements are given, never inferred (inference loads the model in a new process), and the
signature comes from the contract, not from a look at the rows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import mlflow.pyfunc
import pandas as pd
from mlflow.entities import LoggedModel
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from include.evergreen.effects import read
from include.evergreen.settings import PROJECT_ROOT

PYFUNC_FILE = PROJECT_ROOT / "include" / "evergreen" / "model_code" / "pyfunc.py"
#: The folder of the bundle among a version's artifacts.
BUNDLE = "bundle"
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas", "scikit-learn", "scipy", "skops")

ColumnType = Literal["float", "integer", "boolean", "category", "timestamp", "key"]
_TYPES = {
    "float": DataType.double,
    "integer": DataType.long,
    "boolean": DataType.boolean,
    "category": DataType.string,
    "key": DataType.string,
    "timestamp": DataType.datetime,
}


@dataclass(frozen=True)
class RawColumn:
    """One column as the contract has it. A category of whole numbers has `integer_values`.

    What may be missing is a double, or text: MLflow's whole numbers and booleans cannot be.
    """

    type: ColumnType
    nullable: bool = False
    integer_values: bool = False
    required: bool = True

    @read
    def spec(self, name: str) -> ColSpec:
        kind: ColumnType = "integer" if self.integer_values else self.type
        nullable = self.nullable and kind in {"integer", "boolean"}
        return ColSpec(DataType.double if nullable else _TYPES[kind], name, required=self.required)


@dataclass(frozen=True)
class RawColumns:
    """What a request carries, what it gets back, and a few rows as an example."""

    inputs: Mapping[str, RawColumn]
    outputs: Mapping[str, RawColumn]
    example: Sequence[Mapping[str, Any]]

    @read
    def signature(self) -> ModelSignature:
        """As MLflow has it: raw columns in, predictions out."""
        return ModelSignature(
            inputs=Schema([column.spec(name) for name, column in self.inputs.items()]),
            outputs=Schema([column.spec(name) for name, column in self.outputs.items()]),
        )

    @read
    def example_frame(self) -> pd.DataFrame:
        """The example rows in the types of the signature."""
        frame = pd.DataFrame(
            {name: [row.get(name) for row in self.example] for name in self.inputs}
        )
        for name, column in self.inputs.items():
            if column.type == "timestamp":
                frame[name] = pd.to_datetime(frame[name], utc=True).dt.tz_localize(None)
            elif column.spec(name).type == DataType.double:
                frame[name] = frame[name].astype("float64")
        return frame


@contextmanager
def save_pyfunc(
    bundle: Path, columns: RawColumns, logged: LoggedModel, run_id: str
) -> Iterator[Path]:
    """A folder with the model as MLflow stores it; gone when the block ends."""
    model = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        run_id=run_id,
        model_id=logged.model_id,
    )
    with tempfile.TemporaryDirectory(prefix="evergreen-model-") as directory:
        folder = Path(directory) / "model"
        mlflow.pyfunc.save_model(
            folder,
            python_model=str(PYFUNC_FILE),
            artifacts={BUNDLE: str(bundle)},
            signature=columns.signature(),
            input_example=columns.example_frame(),
            pip_requirements=[f"{name}=={metadata.version(name)}" for name in REQUIREMENTS],
            mlflow_model=model,
        )
        for cache in folder.rglob("__pycache__"):
            shutil.rmtree(cache)
        yield folder
