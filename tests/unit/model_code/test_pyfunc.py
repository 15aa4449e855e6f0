"""Stock MLflow loads and runs the registered model without the project at hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from include.evergreen.model_code.predictor import Predictor
from include.evergreen.stages import bundle

pytestmark = [
    # MLflow's own: it maps a relation in a way SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    # What MLflow says of its own classes while it is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType"),
    # A type hint on predict would replace the signature, and an input example is another's test.
    pytest.mark.filterwarnings("ignore:.*Add type hints to the `predict` method"),
    pytest.mark.filterwarnings("ignore:.*An input example was not provided"),
]

PYFUNC = bundle.CODE_DIRECTORY / "pyfunc.py"
ALONE = """
import json, sys
import mlflow, pandas as pd
assert not any("include" in name.split(".") for name in sys.modules)
model = mlflow.pyfunc.load_model(sys.argv[1])
with open(sys.argv[2]) as file:
    frame = pd.DataFrame(json.load(file))
frame["at"] = pd.to_datetime(frame["at"], utc=True).dt.tz_localize(None)
answer = model.predict(frame)
print("ANSWER", json.dumps(pd.DataFrame(answer).to_dict("list")))
"""


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(
        experiment_id=mlflow.create_experiment("rides", artifact_location=str(folder / "artifacts"))
    )
    return uri


def log(made) -> str:
    signature = ModelSignature(
        inputs=Schema(
            [
                ColSpec("double", "temperature", required=False),
                ColSpec("long", "humidity"),
                ColSpec("string", "weather"),
                ColSpec("long", "season"),
                ColSpec("boolean", "holiday"),
                ColSpec("datetime", "at"),
            ]
        )
    )
    with mlflow.start_run():
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(PYFUNC),
            artifacts={"bundle": str(made.directory)},
            signature=signature,
            pip_requirements=["numpy"],
        ).model_uri


def test_stock_mlflow_predicts_in_a_process_without_the_project(rides, tracking, tmp_path) -> None:
    uri = log(rides)
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(rides.rows))
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, uri, rows],
        cwd=tmp_path,
        env={**environ, "MLFLOW_TRACKING_URI": tracking},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER "))
    seen = next(iter(json.loads(line.removeprefix("ANSWER ")).values()))
    assert np.array_equal(seen, Predictor.load(rides.directory).golden["predictions"]["prediction"])


def test_a_model_whose_predictor_was_changed_does_not_run(rides, tracking) -> None:
    uri = log(rides)
    folder = Path(mlflow.artifacts.download_artifacts(uri))
    with (folder / "artifacts" / "bundle" / "predictor.py").open("a") as file:
        file.write("\nraise SystemExit('changed code ran')\n")
    with pytest.raises(ValueError, match="not the one the manifest records"):
        mlflow.pyfunc.load_model(str(folder))


def test_missing_values_and_times_of_a_frame_become_what_a_request_would_carry(
    rides, tracking
) -> None:
    frame = pd.DataFrame(rides.rows[:5])
    frame["at"] = pd.to_datetime(frame["at"], utc=True).dt.tz_localize(None)
    model = mlflow.pyfunc.load_model(log(rides))
    frame.loc[1, "temperature"] = np.nan
    assert np.isfinite(model.predict(frame)).all()
    frame.loc[2, "weather"] = "snow"
    with pytest.raises(
        ValueError, match="'weather': seen 'snow', allowed one of clear, mist, rain"
    ):
        model.predict(frame)
