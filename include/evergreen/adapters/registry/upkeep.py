"""What keeping house needs of MLflow: everything that stands there for a model, and removals.

Reading makes nothing: a model without an experiment has no runs. Every removal of what is gone
already is fine. Runs and logged models of another installation on the same server are not listed,
for its ledger is another one; versions are, for an alias may point at any.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from include.evergreen.adapters.registry.connection import calls_mlflow
from include.evergreen.adapters.registry.packaging import BUNDLE
from include.evergreen.adapters.registry.runs import Runs
from include.evergreen.adapters.registry.versions import (
    INSTALLATION,
    MANIFEST_DIGEST,
    PREFIX,
    TRAINING_KEY,
)
from include.evergreen.effects import effect, read

_ABSENT = "RESOURCE_DOES_NOT_EXIST"
_PAGE = 200
_MODELS = "models:/"


@dataclass(frozen=True)
class RunState:
    """A run of a training: MLflow's word for where it stands, and when that last changed."""

    run_id: str
    training_key: str
    status: str
    changed_at: dt.datetime


@dataclass(frozen=True)
class VersionState:
    """A registered version. `ready` is MLflow's word, `has_bundle` whether its files are seen;
    `model_id` is the logged model it consists of ('' for a version made otherwise), `ours` whether
    this installation registered it.
    """

    version: int
    run_id: str
    training_key: str
    manifest_digest: str
    refitted: bool
    ready: bool
    has_bundle: bool
    model_id: str
    changed_at: dt.datetime
    ours: bool


@dataclass(frozen=True)
class LoggedModelState:
    """The files of a version, before it is one or since."""

    model_id: str
    training_key: str
    changed_at: dt.datetime


class Upkeep(Runs):
    """Lists and removes; nothing here makes anything."""

    @read
    @calls_mlflow
    def aliases(self, model: str) -> dict[str, int]:
        """Every alias of a model, ours or not, and the version it points at."""
        try:
            found = self._client.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code == _ABSENT:
                return {}
            raise
        return {alias: int(version) for alias, version in found.items()}

    @read
    @calls_mlflow
    def run_states(self, model: str) -> list[RunState]:
        """Every run that a training of the model made."""
        found = self._in_experiment(
            model,
            lambda experiment, token: self._client.search_runs(
                [experiment], "", ViewType.ACTIVE_ONLY, max_results=_PAGE, page_token=token
            ),
        )
        return [
            RunState(
                run_id=str(run.info.run_id),
                training_key=run.data.tags[TRAINING_KEY],
                status=str(run.info.status),
                changed_at=_instant(max(run.info.start_time or 0, run.info.end_time or 0)),
            )
            for run in found
            if self._is_ours(run.data.tags)
        ]

    @read
    @calls_mlflow
    def version_states(self, model: str, *, look_at_bundles: bool) -> list[VersionState]:
        """Every version of a model, the newest first. Looking at bundles costs a request each;
        without, `has_bundle` is true of all.
        """
        found = pages(
            lambda token: self._client.search_model_versions(
                f"name = '{model}'", max_results=_PAGE, page_token=token
            )
        )
        states = [self._version_state(version, look_at_bundles) for version in found]
        return sorted(states, key=lambda state: state.version, reverse=True)

    @read
    @calls_mlflow
    def logged_model_states(self, model: str) -> list[LoggedModelState]:
        """Every logged model that a training of the model uploaded."""
        found = self._in_experiment(
            model,
            lambda experiment, token: self._client.search_logged_models(
                [experiment], max_results=_PAGE, page_token=token
            ),
        )
        return [
            LoggedModelState(
                model_id=str(logged.model_id),
                training_key=logged.tags[TRAINING_KEY],
                changed_at=_instant(logged.last_updated_timestamp),
            )
            for logged in found
            if self._is_ours(logged.tags)
        ]

    @effect
    @calls_mlflow
    def end_run(self, run_id: str, *, succeeded: bool, at: dt.datetime) -> None:
        """End a run that nobody works on any more."""
        status = "FINISHED" if succeeded else "FAILED"
        self._client.set_terminated(run_id, status, round(at.timestamp() * 1000))

    @effect
    @calls_mlflow
    def remove_run(self, run_id: str) -> None:
        """Move a run to MLflow's deleted ones: it can be restored until `mlflow gc`."""
        _unless_gone(lambda: self._client.delete_run(run_id))

    @effect
    @calls_mlflow
    def remove_version(self, model: str, version: int) -> None:
        """Delete a version from the registry; its run and its files stay."""
        _unless_gone(lambda: self._client.delete_model_version(model, str(version)))

    @effect
    @calls_mlflow
    def remove_logged_model(self, model_id: str) -> None:
        """Move a logged model to MLflow's deleted ones: `mlflow gc` frees its files."""
        _unless_gone(lambda: self._client.delete_logged_model(model_id))

    def _is_ours(self, tags: Mapping[str, str]) -> bool:
        return TRAINING_KEY in tags and tags.get(INSTALLATION) == self._installation

    def _version_state(self, found: Any, look_at_bundles: bool) -> VersionState:
        source = str(found.source or "")
        tags = dict(found.tags or {})
        return VersionState(
            version=int(found.version),
            run_id=str(found.run_id or ""),
            training_key=tags.get(TRAINING_KEY, ""),
            manifest_digest=tags.get(MANIFEST_DIGEST, ""),
            refitted=tags.get(f"{PREFIX}refit", "").startswith("refitted"),
            ready=str(found.status) == "READY",
            has_bundle=self._has_bundle(source) if look_at_bundles else True,
            model_id=source.removeprefix(_MODELS) if source.startswith(_MODELS) else "",
            changed_at=_instant(found.last_updated_timestamp or found.creation_timestamp),
            ours=self._is_ours(tags),
        )

    def _has_bundle(self, source: str) -> bool:
        """Whether the files of a version are seen where it says that they are."""
        try:
            if source.startswith(_MODELS):
                logged = self._client.get_logged_model(source.removeprefix(_MODELS))
                source = logged.artifact_location
            return bool(
                mlflow.artifacts.list_artifacts(
                    artifact_uri=f"{source}/artifacts/{BUNDLE}", tracking_uri=self._connection.uri
                )
            )
        except MlflowException as error:
            if error.error_code == _ABSENT:
                return False
            raise
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _in_experiment(self, model: str, page: Callable[[str, str | None], Any]) -> Iterator[Any]:
        experiment = self._client.get_experiment_by_name(model)
        if experiment is None:
            return iter(())
        return pages(lambda token: page(str(experiment.experiment_id), token))


def pages(page: Callable[[str | None], Any]) -> Iterator[Any]:
    token: str | None = None
    while True:
        found = page(token)
        yield from found
        token = found.token
        if not token:
            return


def _unless_gone(call: Callable[[], Any]) -> None:
    try:
        call()
    except MlflowException as error:
        if error.error_code != _ABSENT:
            raise


def _instant(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
