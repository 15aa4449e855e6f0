"""A training is registered as one version, once, and an alias says what a version is for.

A version's files are written once, under a logged model that carries the training key; a step
that was interrupted is taken up where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.exceptions import MlflowException

from include.evergreen.adapters.registry.anchors import Anchors
from include.evergreen.adapters.registry.connection import calls_mlflow
from include.evergreen.adapters.registry.packaging import BUNDLE, RawColumns, save_pyfunc
from include.evergreen.adapters.registry.runs import EXISTS
from include.evergreen.adapters.registry.versions import (
    INSTALLATION,
    LONGEST_TAG,
    MANIFEST_DIGEST,
    TRAINING_KEY,
    VersionInfo,
    our_tags,
    version_info,
)
from include.evergreen.effects import effect, read
from include.evergreen.errors import ArtifactRefused, Unavailable
from include.evergreen.fencing import making_good, still_ours

CHALLENGER = "challenger"
STAGING = "staging"
CHAMPION = "champion"
_ABSENT = "RESOURCE_DOES_NOT_EXIST"


class Registry(Anchors):
    """Runs, versions and aliases of every model."""

    @effect
    @calls_mlflow
    def register(
        self,
        model: str,
        run_id: str,
        bundle: Path,
        *,
        training_key: str,
        manifest_digest: str,
        columns: RawColumns,
        tags: Mapping[str, str],
    ) -> int:
        """The version of a training: its bundle as a pyfunc on raw columns, under `challenger`.

        A version is made last, when its files are there; one that exists for this training key
        only gets its alias.
        """
        found = self.find_version(model, training_key)
        if found is None:
            ours = {
                TRAINING_KEY: training_key,
                MANIFEST_DIGEST: manifest_digest,
                INSTALLATION: self._installation,
                **our_tags(tags),
            }
            model_id = self._log_model(model, run_id, bundle, columns, ours)
            version = self._create_version(model, run_id, model_id, ours)
        else:
            version = found.version
        self.set_alias(model, CHALLENGER, version)
        return version

    @effect
    def _log_model(
        self, model: str, run_id: str, bundle: Path, columns: RawColumns, tags: Mapping[str, str]
    ) -> str:
        """The files of a version, uploaded once: the id of the logged model that holds them."""
        found = self._client.search_logged_models(
            [self.experiment(model)],
            filter_string=f"tags.`{TRAINING_KEY}` = '{tags[TRAINING_KEY]}' "
            f"AND tags.`{MANIFEST_DIGEST}` = '{tags[MANIFEST_DIGEST]}'",
        )
        for earlier in found:
            if str(earlier.status) == str(LoggedModelStatus.READY):
                return str(earlier.model_id)
            still_ours()
            self._client.delete_logged_model(earlier.model_id)
        logged = self._begin_model(model, run_id, tags)
        with save_pyfunc(bundle, columns, logged, run_id) as folder:
            self._upload_model(logged.model_id, folder)
        still_ours()
        self._client.finalize_logged_model(logged.model_id, "READY")
        return str(logged.model_id)

    @effect
    def _begin_model(self, model: str, run_id: str, tags: Mapping[str, str]) -> LoggedModel:
        logged = self._client.create_logged_model(
            self.experiment(model), name=model, source_run_id=run_id, tags=dict(tags)
        )
        self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return logged

    @effect
    def _upload_model(self, model_id: str, folder: Path) -> None:
        self._client.log_model_artifacts(model_id, str(folder))

    @effect
    def _create_version(
        self, model: str, run_id: str, model_id: str, tags: Mapping[str, str]
    ) -> int:
        try:
            self._client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != EXISTS:
                raise
        still_ours()
        created = self._client.create_model_version(
            model, f"models:/{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
        )
        version = int(created.version)
        self._check_first(model, version, tags[TRAINING_KEY])
        return version

    def _check_first(self, model: str, version: int, training_key: str) -> None:
        """Take a version just made away again if its training has an earlier one.

        Between the last look at the lease and MLflow's answer a process may be stopped for as
        long as another needs to register the same training. Nobody can have built on what it
        made then, for everybody takes the first.
        """
        found = self.find_version(model, training_key)
        if found is None or found.version >= version:
            return
        with making_good():
            self._take_away(model, version)
        still_ours()
        raise Unavailable(
            f"{model} v{found.version} was registered for training {training_key[:12]} in the same "
            f"moment; v{version} was deleted again. A retry takes v{found.version}."
        )

    @effect
    def _take_away(self, model: str, version: int) -> None:
        self._client.delete_model_version(model, str(version))

    @read
    @calls_mlflow
    def find_version(self, model: str, training_key: str) -> VersionInfo | None:
        """The version made by a training; the first, should there be two."""
        found = self._client.search_model_versions(
            f"name = '{model}' AND tags.`{TRAINING_KEY}` = '{training_key}'"
        )
        versions = sorted((version_info(v) for v in found), key=lambda info: info.version)
        return versions[0] if versions else None

    @read
    @calls_mlflow
    def version_info(self, model: str, version: int) -> VersionInfo:
        """What a version says about itself.

        Raises:
            ArtifactRefused: there is no such version (any more).
        """
        try:
            return version_info(self._client.get_model_version(model, str(version)))
        except MlflowException as error:
            if error.error_code != _ABSENT:
                raise
            raise ArtifactRefused(
                f"Version {version} of {model} is not in the registry (deleted?). Point the alias "
                "at a version that exists."
            ) from error

    @read
    @calls_mlflow
    def version_of(self, model: str, alias: str) -> int | None:
        """The version under an alias; None where nothing is.

        Raises:
            ArtifactRefused: the alias points at a version that was deleted.
        """
        try:
            aliases = self._client.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code == _ABSENT:
                return None
            raise
        if alias not in aliases:
            return None
        return self.version_info(model, int(aliases[alias])).version

    @effect
    @calls_mlflow
    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Move an alias to a version."""
        self._client.set_registered_model_alias(model, alias, str(version))

    @effect
    @calls_mlflow
    def remove_alias(self, model: str, alias: str) -> None:
        """Nothing is under an alias any more; gone already is fine."""
        try:
            self._client.delete_registered_model_alias(model, alias)
        except MlflowException as error:
            if error.error_code != _ABSENT:
                raise

    @effect
    @calls_mlflow
    def set_version_tags(self, model: str, version: int, tags: Mapping[str, str]) -> None:
        """Add tags to a version."""
        for key, value in our_tags(tags).items():
            still_ours()
            self._client.set_model_version_tag(model, str(version), key, value)

    @effect
    @calls_mlflow
    def describe_version(self, model: str, version: int, words: str) -> None:
        """Put these words (Markdown, 5,000 characters at most) under a version in MLflow."""
        self._client.update_model_version(model, str(version), words[:LONGEST_TAG])

    @effect
    @calls_mlflow
    def download_bundle(self, model: str, version: int, to: Path) -> Path:
        """The bundle of a version, as a folder inside the directory `to`.

        Nothing of it is loaded: whoever loads it checks its manifest's digest first.
        """
        self.version_info(model, version)
        source = self._client.get_model_version_download_uri(model, str(version))
        if source.startswith("models:/"):
            model_id = source.removeprefix("models:/")
            source = self._client.get_logged_model(model_id).artifact_location
        return self._download(f"{source}/artifacts/{BUNDLE}", to)

    @read
    def model_url(self, model: str, version: int | None = None) -> str:
        """Where a person looks at a registered model, or one version of it."""
        end = f"/versions/{version}" if version is not None else ""
        return f"{self._public_url}/#/models/{model}{end}"
