"""Runs, logged models and versions of `maintain`: MLflow and the ledger tell the same story."""

from __future__ import annotations

from include.evergreen.adapters.ledger.upkeep import TrainingStanding
from include.evergreen.adapters.registry.upkeep import VersionState
from include.evergreen.contracts import Candidate
from include.evergreen.policy.retention_facts import OVER, Decided, Thing
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.maintain.parts import NOBODY, Installation


class RegistryPart:
    """What MLflow holds for a model."""

    name = "registry"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._ledger, self._registry = installation.ledger, installation.registry

    def find(self, model: str) -> list[Thing]:
        if model == NOBODY:
            return []
        trainings = {t.key: t for t in self._ledger.training_states(model)}
        versions = self._registry.version_states(model, look_at_bundles=True)
        made_of = {version.model_id: version.version for version in versions}
        return [
            *(_version_thing(model, v, versions, trainings.get(v.training_key)) for v in versions),
            *(
                Thing("run", model, r.run_id, r.changed_at, None, r.training_key, r.status)
                for r in self._registry.run_states(model)
            ),
            *(
                Thing(
                    "logged_model",
                    model,
                    logged.model_id,
                    logged.changed_at,
                    made_of.get(logged.model_id),
                    logged.training_key,
                )
                for logged in self._registry.logged_model_states(model)
            ),
        ]

    def act(self, decided: Decided) -> None:
        thing = decided.thing
        if thing.kind == "logged_model":
            self._registry.remove_logged_model(thing.name)
        elif thing.kind == "run" and decided.action == "finish":
            training = self._ledger.training(thing.training)
            over = training is not None and training.state in OVER
            self._registry.end_run(thing.name, succeeded=over, at=self._installation.now)
        elif thing.kind == "run":
            self._registry.remove_run(thing.name)
        elif decided.action == "finish":
            self._record(thing)
        elif thing.version is not None:
            self._registry.remove_version(thing.model, thing.version)

    def _record(self, thing: Thing) -> None:
        """What `register` would have recorded, had it not been interrupted: the version it made."""
        training = self._ledger.training(thing.training)
        found = [
            state
            for state in self._registry.version_states(thing.model, look_at_bundles=False)
            if state.version == thing.version
        ]
        if training is None or training.judgement is None or not found:
            return
        version, now = found[0], self._installation.now
        candidate = Candidate(
            model=thing.model,
            version=version.version,
            run_id=version.run_id,
            training_key=version.training_key,
            manifest_digest=version.manifest_digest,
            refitted=version.refitted,
        )
        self._ledger.record_candidate(
            candidate,
            now,
            asked=training.snapshot.request_ids,
            run=self._installation.owner,
        )
        anchor_entries(self._installation, thing.model, now=now)
        self._registry.end_run(version.run_id, succeeded=True, at=now)


def _version_thing(
    model: str, version: VersionState, others: list[VersionState], training: TrainingStanding | None
) -> Thing:
    return Thing(
        "version",
        model,
        f"v{version.version}",
        version.changed_at,
        version.version,
        version.training_key,
        _state(version, others, training),
    )


def _state(
    version: VersionState, others: list[VersionState], training: TrainingStanding | None
) -> str:
    """What is wrong with a version, if anything is. One that no training of ours made is let be."""
    if not version.ours:
        return "foreign"
    if not version.ready:
        return "pending"
    if training is not None and training.version not in {None, version.version}:
        return "second"
    if not version.has_bundle:
        return "no_bundle"
    first = min(v.version for v in others if v.training_key == version.training_key and v.ready)
    is_won = training is not None and training.state == "won" and training.version is None
    return "unrecorded" if is_won and first == version.version else "ready"
