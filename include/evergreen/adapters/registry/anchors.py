"""Digests of the journal, noted where the ledger cannot reach: as tags in MLflow.

An anchor is a tag on what its entry is about, the version or the training's run, named after the
entry's number; where both are gone, or there were none, on the model's experiment. One that stands
is never overwritten: what would contradict it is somebody's rewriting of the past.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from include.evergreen.adapters.registry.connection import calls_mlflow
from include.evergreen.adapters.registry.upkeep import Upkeep, pages
from include.evergreen.adapters.registry.versions import INSTALLATION, PREFIX
from include.evergreen.contracts import JournalAnchor
from include.evergreen.effects import effect, read
from include.evergreen.fencing import still_ours

_ABSENT = "RESOURCE_DOES_NOT_EXIST"
_PAGE = 200
_ANCHOR = f"{PREFIX}journal_"


class Anchors(Upkeep):
    """Writes and finds the anchors of journals."""

    @effect
    @calls_mlflow
    def anchor_journal(
        self, model: str, number: int, digest: str, *, version: int | None, run_id: str
    ) -> JournalAnchor:
        """The anchor that stands for an entry where it belongs: this one, or one made earlier.

        It is on the version, if there is one that this installation made, else on the run, else on
        the experiment.
        """
        key = f"{_ANCHOR}{number}"
        if version is not None:
            tags = self._tags_of_version(model, version)
            if tags is not None:
                if key not in tags:
                    still_ours()
                    self._client.set_model_version_tag(model, str(version), key, digest)
                return JournalAnchor(number, tags.get(key, digest), _of_version(version))
        if run_id:
            tags = self._tags_of_run(run_id)
            if tags is not None:
                if key not in tags:
                    still_ours()
                    self._client.set_tag(run_id, key, digest)
                return JournalAnchor(number, tags.get(key, digest), _of_run(run_id))
        return self._anchor_on_experiment(model, number, digest)

    @read
    @calls_mlflow
    def journal_anchors(self, model: str) -> list[JournalAnchor]:
        """Every anchor of this installation for a model; also of runs in MLflow's deleted ones."""
        experiment = self._client.get_experiment_by_name(model)
        found: list[JournalAnchor] = []
        for version in pages(
            lambda token: self._client.search_model_versions(
                f"name = '{model}'", max_results=_PAGE, page_token=token
            )
        ):
            if self._is_of_here(version.tags):
                found += _anchors(version.tags, _ANCHOR, _of_version(int(version.version)))
        if experiment is None:
            return found
        for run in pages(
            lambda token: self._client.search_runs(
                [str(experiment.experiment_id)],
                f"tags.`{INSTALLATION}` = '{self._installation}'",
                ViewType.ALL,
                max_results=_PAGE,
                page_token=token,
            )
        ):
            found += _anchors(run.data.tags, _ANCHOR, _of_run(str(run.info.run_id)))
        return found + list(_anchors(experiment.tags, self._on_experiment, _EXPERIMENT))

    @property
    def _on_experiment(self) -> str:
        """Installations that share a server and a model's name share its experiment."""
        return f"{_ANCHOR}{self._installation}_"

    def _anchor_on_experiment(self, model: str, number: int, digest: str) -> JournalAnchor:
        experiment, key = self.experiment(model), f"{self._on_experiment}{number}"
        tags = self._client.get_experiment(experiment).tags
        if key not in tags:
            still_ours()
            self._client.set_experiment_tag(experiment, key, digest)
        return JournalAnchor(number, tags.get(key, digest), _EXPERIMENT)

    def _tags_of_version(self, model: str, version: int) -> Mapping[str, str] | None:
        """None where it was deleted, or is another installation's."""
        try:
            tags: dict[str, str] = self._client.get_model_version(model, str(version)).tags
        except MlflowException as error:
            if error.error_code != _ABSENT:
                raise
            return None
        return tags if self._is_of_here(tags) else None

    def _tags_of_run(self, run_id: str) -> Mapping[str, str] | None:
        """None where it was deleted, or is another installation's."""
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != _ABSENT:
                raise
            return None
        tags: dict[str, str] = run.data.tags
        active = run.info.lifecycle_stage == "active"
        return tags if active and self._is_of_here(tags) else None

    def _is_of_here(self, tags: Mapping[str, Any] | None) -> bool:
        return bool(tags) and dict(tags or {}).get(INSTALLATION) == self._installation


_EXPERIMENT = "the model's experiment in MLflow"


def _of_version(version: int) -> str:
    return f"v{version} in MLflow"


def _of_run(run_id: str) -> str:
    return f"the MLflow run {run_id}"


def _anchors(tags: Mapping[str, str] | None, prefix: str, where: str) -> Iterator[JournalAnchor]:
    for key, digest in sorted((tags or {}).items()):
        number = key.removeprefix(prefix)
        if key.startswith(prefix) and number.isdigit():
            yield JournalAnchor(int(number), digest, where)
