"""Runs are found by their training key, so that a retry finds its own. One experiment a model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE

from include.evergreen.adapters.registry.connection import Connection, calls_mlflow
from include.evergreen.adapters.registry.versions import INSTALLATION, TRAINING_KEY, our_tags
from include.evergreen.effects import effect, read
from include.evergreen.fencing import still_ours
from include.evergreen.settings import Settings

EXISTS = "RESOURCE_ALREADY_EXISTS"
_LONGEST_PARAM = 6000


class Runs:
    """The runs of every model: what they were told, and what they left."""

    def __init__(self, settings: Settings) -> None:
        self._connection = Connection(settings)
        self._installation = settings.installation_id
        self._public_url = (settings.mlflow_public_url or self._connection.address).rstrip("/")
        self._artifacts: str | None = None
        if not self._connection.uri.startswith(("http://", "https://")):
            directory = settings.home / "mlflow"
            directory.mkdir(parents=True, exist_ok=True)
            self._artifacts = (directory / "artifacts").as_uri()

    @property
    def _client(self) -> mlflow.MlflowClient:
        return self._connection.client

    @effect
    @calls_mlflow
    def experiment(self, model: str) -> str:
        """The id of the model's experiment, made where there is none."""
        found = self._client.get_experiment_by_name(model)
        if found is not None and found.lifecycle_stage == "active":
            return str(found.experiment_id)
        if found is not None:
            self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        location = f"{self._artifacts}/{model}" if self._artifacts else None
        try:
            return str(self._client.create_experiment(model, artifact_location=location))
        except MlflowException as error:
            if error.error_code != EXISTS:
                raise
            return str(self._client.get_experiment_by_name(model).experiment_id)

    @read
    @calls_mlflow
    def find_run(self, model: str, training_key: str) -> str | None:
        """The run of a training; the first, should there be two."""
        found = self._client.search_runs(
            [self.experiment(model)],
            f"tags.`{TRAINING_KEY}` = '{training_key}'",
            ViewType.ACTIVE_ONLY,
            max_results=1,
            order_by=["attributes.start_time ASC"],
        )
        return str(found[0].info.run_id) if found else None

    @effect
    @calls_mlflow
    def start_run(
        self, model: str, training_key: str, name: str, tags: Mapping[str, str] | None = None
    ) -> str:
        """The run of a training, made where there is none."""
        existing = self.find_run(model, training_key)
        if existing is not None:
            return existing
        ours = {
            MLFLOW_RUN_NAME: name,
            MLFLOW_SOURCE_NAME: f"{model}.train",
            MLFLOW_SOURCE_TYPE: "JOB",
            TRAINING_KEY: training_key,
            INSTALLATION: self._installation,
            **our_tags(tags or {}),
        }
        still_ours()
        run = self._client.create_run(self.experiment(model), tags=ours, run_name=name)
        return str(run.info.run_id)

    @effect
    @calls_mlflow
    def log_values(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        at_ms: int = 0,
    ) -> None:
        """Parameters, metrics and tags in one request; the same again is harmless."""
        self._client.log_batch(
            run_id,
            metrics=[Metric(k, float(v), at_ms, 0) for k, v in (metrics or {}).items()],
            params=[Param(k, str(v)[:_LONGEST_PARAM]) for k, v in (params or {}).items()],
            tags=[RunTag(k, v) for k, v in our_tags(tags or {}).items()],
        )

    @effect
    @calls_mlflow
    def log_dataset(self, run_id: str, name: str, digest: str, source: str, rows: int) -> None:
        """The rows a run learned from: their digest over all of them, and where they lie.

        MLflow keeps 36 characters of a digest; the whole one is a tag of the run.
        """
        dataset = Dataset(
            name=name,
            digest=digest[:36],
            source_type="delta_table",
            source=json.dumps({"uri": source}),
            profile=json.dumps({"num_rows": rows}),
        )
        still_ours()
        self._client.log_inputs(run_id, [DatasetInput(dataset, [])])

    @effect
    @calls_mlflow
    def log_report(self, run_id: str, local_files: Iterable[Path], artifact_path: str) -> None:
        """Upload files to a run, each under its own name in the folder `artifact_path`."""
        for file in local_files:
            still_ours()
            self._client.log_artifact(run_id, str(file), artifact_path)

    @effect
    @calls_mlflow
    def log_folder(self, run_id: str, folder: Path, artifact_path: str | None = None) -> None:
        """Upload a folder's content to a run: under `artifact_path`, or at its root."""
        self._client.log_artifacts(run_id, str(folder), artifact_path)

    @effect
    @calls_mlflow
    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        """Write one text file of a run."""
        self._client.log_text(run_id, text, artifact_file)

    @read
    @calls_mlflow
    def read_text(self, run_id: str, artifact_file: str) -> str | None:
        """One text file of a run; None where it has none by this name."""
        folder = artifact_file.rpartition("/")[0]
        found = self._client.list_artifacts(run_id, folder or None)
        if artifact_file not in {artifact.path for artifact in found}:
            return None
        with tempfile.TemporaryDirectory(prefix="evergreen-text-") as directory:
            uri = f"{self._client.get_run(run_id).info.artifact_uri}/{artifact_file}"
            return self._download(uri, Path(directory)).read_text(encoding="utf-8")

    @effect
    @calls_mlflow
    def download_folder(self, run_id: str, artifact_path: str, to: Path) -> Path:
        """A folder of a run's artifacts, inside the directory `to`."""
        uri = f"{self._client.get_run(run_id).info.artifact_uri}/{artifact_path}"
        return self._download(uri, to)

    @effect
    @calls_mlflow
    def finish_run(self, run_id: str, *, succeeded: bool) -> None:
        """End a run; again with the same word is harmless."""
        self._client.set_terminated(run_id, "FINISHED" if succeeded else "FAILED")

    def _download(self, uri: str, to: Path) -> Path:
        to.mkdir(parents=True, exist_ok=True)
        return Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=uri, dst_path=str(to), tracking_uri=self._connection.uri
            )
        )

    @read
    def run_url(self, run_id: str) -> str:
        """Where a person looks at a run."""
        return f"{self._public_url}/#/experiments/{self._experiment_of(run_id)}/runs/{run_id}"

    @calls_mlflow
    def _experiment_of(self, run_id: str) -> str:
        return str(self._client.get_run(run_id).info.experiment_id)
