"""Services, networks and images of `maintain`: what runs must be in the ledger, or it goes."""

from __future__ import annotations

import datetime as dt
import re

from include.evergreen.adapters.ledger import DeploymentRecord
from include.evergreen.adapters.runtime import Runtime, StoredImage
from include.evergreen.contracts import RunningService
from include.evergreen.errors import EvergreenError
from include.evergreen.policy.retention_facts import Decided, Thing
from include.evergreen.stages.deploy.services import GRACE_S, PRODUCTION, runtime_for
from include.evergreen.stages.deploy.settle import ALIASES, settle_deployments
from include.evergreen.stages.deploy.traffic import door_is_wrong
from include.evergreen.stages.maintain.parts import NOBODY, Installation
from include.evergreen.stages.resources import Resources

#: As `adapters.runtime.service_name` makes them.
_NAME = re.compile(r"^evergreen-([a-z][a-z0-9_]*)-v(\d+)-([a-z]+)-[0-9a-f]{8}$")


def model_of(service_name: str) -> str:
    """The model of a service; NOBODY for what is no service of a version."""
    found = _NAME.match(service_name)
    return found[1] if found else NOBODY


class DeploymentsPart:
    """Deployments of the ledger behind which aliases or services lag: settling finishes them."""

    name = "deployments"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def find(self, model: str) -> list[Thing]:
        records = self._installation.ledger.deployments(model)
        live = {record.environment: record for record in records if record.state == "live"}
        found = []
        for record in records:
            state: str = record.state
            if state == "starting":
                before = live.get(record.environment)
                state = "overtaken" if before is not None and record.id < before.id else ""
            elif state == "live":
                state = self._what_lags(record)
            if state and record.state in {"starting", "live", "stopping"}:
                begun = record.live_at or record.begun_at
                name = f"deployment {record.id}"
                found.append(Thing("deployment", model, name, begun, record.version, state=state))
        return found

    def act(self, decided: Decided) -> None:
        resources = self._installation.resources(decided.thing.model)
        for environment in ALIASES:
            settle_deployments(resources, environment, now=self._installation.now)

    def _what_lags(self, record: DeploymentRecord) -> str:
        registry = self._installation.registry
        model, version, service = record.model, record.version, record.service
        if model not in self._installation.specs or service is None:
            return ""
        aliases = registry.aliases(model)
        known = {v.version for v in registry.version_states(model, look_at_bundles=False)}
        alias = ALIASES[record.environment]
        if aliases.get(alias) != version and version in known:
            return f"live without the alias {alias}"
        try:
            return _how_clients_lag(self._installation.resources(model), record, service)
        except EvergreenError:
            return ""  # its engine is away: said when the engines were looked for


def _how_clients_lag(
    resources: Resources, record: DeploymentRecord, service: RunningService
) -> str:
    runtime = runtime_for(resources, service)
    if runtime.state(service) != "running":
        image = resources.ledger.image(record.model, record.version, service.runtime)
        return "live without a running service" if image and runtime.has(image) else ""
    if not runtime.is_published(service):
        return "live, and clients are not sent to it"
    if record.environment == PRODUCTION and door_is_wrong(resources, runtime):
        return "live, and its door is not as the spec says"
    return ""


class ServicesPart:
    """Containers and processes; networks belong to no model."""

    name = "services"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def find(self, model: str) -> list[Thing]:
        return [self._thing(model, *found) for found in self._services(model)] + [
            Thing("network", NOBODY, name, made_at, holds=containers)
            for runtime in self._installation.runtimes
            for name, (made_at, containers) in runtime.networks().items()
            if model == NOBODY
        ]

    def act(self, decided: Decided) -> None:
        thing = decided.thing
        if thing.kind == "network":
            for runtime in self._installation.runtimes:
                if thing.name in runtime.networks():
                    runtime.remove_network(thing.name)
            return
        for runtime, service in self._services(thing.model):
            if service.name == thing.name:
                runtime.remove(service, grace_s=GRACE_S)

    def _services(self, model: str) -> list[tuple[Runtime, RunningService]]:
        if model == NOBODY:
            return []
        return [
            (runtime, service)
            for runtime in self._installation.runtimes
            for service in runtime.find(model)
            if model_of(service.name) == model
        ]

    def _thing(self, model: str, runtime: Runtime, service: RunningService) -> Thing:
        name = _NAME.match(service.name)
        version = int(name[2]) if name else None
        return Thing("service", model, service.name, runtime.started_at(service), version)


class ImagesPart:
    """Images of versions, on the engine or as folders. Somebody else's are not looked at."""

    name = "images"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def find(self, model: str) -> list[Thing]:
        recorded = {
            image.reference: built_at for image, built_at in self._installation.ledger.images(model)
        }
        return [
            _image_thing(image, recorded.get(image.reference))
            for runtime in self._installation.runtimes
            for image in runtime.images()
            if image.model == model and (image.ours or image.reference in recorded)
        ]

    def act(self, decided: Decided) -> None:
        reference = decided.thing.name
        for runtime in self._installation.runtimes:
            if any(image.reference == reference for image in runtime.images()):
                runtime.discard(reference)


def _image_thing(image: StoredImage, recorded_at: dt.datetime | None) -> Thing:
    """A record is made again whenever the image is wanted again: the later time counts."""
    since = max(image.made_at, recorded_at) if recorded_at else image.made_at
    state = "recorded" if recorded_at else "unrecorded"
    return Thing("image", image.model, image.reference, since, image.version, state=state)
