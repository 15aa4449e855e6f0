"""What each model needs, read from ledger and registry: the guards of `maintain`."""

from __future__ import annotations

from pathlib import PurePosixPath

from include.evergreen.policy.retention_facts import DeploymentFact, ModelFacts, TrainingFact
from include.evergreen.stages.maintain.parts import NOBODY, Installation
from include.evergreen.stages.maintain.services import model_of


def known_models(installation: Installation) -> list[str]:
    """Every model that anything stands for: by spec, ledger, engine or folder; NOBODY last."""
    settings = installation.settings
    names = {*installation.specs, *installation.ledger.models()}
    places = (settings.spool_dir, settings.reports_dir, settings.services_dir)
    for place in (*places, settings.work_dir / "trainings", settings.work_dir / "bundles"):
        if place.is_dir():
            names |= {path.name for path in place.iterdir() if path.is_dir()}
    for runtime in installation.runtimes:
        names |= {model_of(service.name) for service in runtime.find()}
        names |= {image.model for image in runtime.images() if image.ours}
    return [*sorted(names - {NOBODY}), NOBODY]


def gather_facts(installation: Installation, model: str) -> ModelFacts:
    """What a model needs now.

    Raises:
        Unavailable: ledger or registry does not answer. Nothing may be removed then.
    """
    if model == NOBODY:
        return ModelFacts(has_spec=False)
    ledger, registry = installation.ledger, installation.registry
    marker = ledger.last_monitored(model) or {}
    newest = PurePosixPath(str(marker.get("evidently_uri") or "")).parent.name
    versions = registry.version_states(model, look_at_bundles=False)
    made_by = {version.training_key: version.version for version in versions if version.ready}
    trainings = {
        training.key: TrainingFact(
            training.state,
            training.opened_at,
            training.version or (made_by.get(training.key) if training.state == "won" else None),
        )
        for training in ledger.training_states(model)
    }
    for version in versions:
        if version.training_key:  # a ledger put back from a backup may lack what made it
            made = TrainingFact("registered", installation.now, version.version)
            trainings.setdefault(version.training_key, made)
    return ModelFacts(
        aliases=registry.aliases(model),
        deployments=tuple(
            DeploymentFact(d.version, d.environment, d.state, d.service_name, d.live_at)
            for d in ledger.deployments(model)
        ),
        waiting=frozenset(c.version for c in ledger.candidates_undeployed(model)),
        trainings=trainings,
        versions_of_runs={version.run_id: version.version for version in versions},
        reports=frozenset({str(marker.get("stamp", "")), newest}),
        has_spec=model in installation.specs,
    )
