"""Services as hardened containers on this machine's engine, found by label, named by content."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

from docker.types import LogConfig

from include.evergreen.adapters.runtime import container_config as hardening
from include.evergreen.adapters.runtime.container_config import host_name
from include.evergreen.adapters.runtime.docker_engine import engine_errors, unless_gone
from include.evergreen.adapters.runtime.docker_images import KINDS, ServingImages
from include.evergreen.adapters.runtime.docker_traffic import EngineTraffic, own_port, whose
from include.evergreen.adapters.runtime.docker_upkeep import EngineUpkeep
from include.evergreen.adapters.runtime.gateway import Gateway
from include.evergreen.adapters.runtime.gateway_place import Place
from include.evergreen.adapters.runtime.gateway_routes import Routes
from include.evergreen.adapters.runtime.interface import (
    INSTALLATION,
    Environment,
    ServiceOrder,
    ServiceState,
    service_name,
)
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.effects import effect, read
from include.evergreen.errors import Unavailable
from include.evergreen.fencing import still_ours
from include.evergreen.settings import Settings

log = logging.getLogger(__name__)


class DockerRuntime(EngineTraffic, EngineUpkeep):
    """See `Runtime`. Services are on a network without a way out, behind one gateway."""

    name: Literal["docker", "process"] = "docker"

    def __init__(self, settings: Settings, engine: Any, images: ServingImages) -> None:
        self._settings = settings
        self._engine = engine
        self._images = images
        self._installation = settings.installation_id
        self._gateway = Gateway(settings, engine, images)
        self._routes = Routes(self._gateway, self._in_use)

    @effect
    def prepare(self) -> None:
        self._images.gateway()
        for kind in KINDS:
            self._images.serving(kind)

    @effect
    def build(
        self, bundle: Path, *, model: str, version: int, manifest_digest: str, training_key: str
    ) -> BuiltImage:
        return self._images.version(
            bundle,
            model=model,
            version=version,
            manifest_digest=manifest_digest,
            training_key=training_key,
        )

    @read
    def has(self, image: BuiltImage) -> bool:
        return self._images.has(image)

    @read
    def name_of(self, order: ServiceOrder) -> str:
        return service_name(self._settings, order.image, order.environment)

    @effect
    def start(self, order: ServiceOrder) -> RunningService:
        name = self.name_of(order)
        self._routes.open_place(order.image.model, order.environment)
        network = self._gateway.networks.ensure_inside()
        labels = hardening.labels(order, self._installation, network)
        found = self._inspect(name)
        if found is not None and self._revive(found, order, labels):
            return self._service(self._inspect(name) or found)
        if found is not None:
            log.info("Container %s was left behind unfit; it is made anew.", name)
            self._remove(found["Id"], grace_s=1)
        _make_spool(order.spool)
        made = self._create(name, order, labels, network)
        still_ours()
        with engine_errors(f"start {name}"):
            self._engine.start(made)
        return self._service(self._inspect(name) or {})

    @read
    def way_to(self, service: RunningService) -> str:
        found = self._inspect(service.service_id)
        return "" if found is None or own_port(found) else self._gateway.incarnation()

    @read
    def is_published(self, service: RunningService) -> bool:
        found = self._inspect(service.service_id)
        if found is not None and own_port(found):
            return True
        return self._routes.is_published(host_name(service.name))

    @read
    def is_silent(self, service: RunningService) -> bool:
        return self._routes.is_silent(host_name(service.name))

    @read
    def state(self, service: RunningService) -> ServiceState:
        found = self._inspect(service.service_id)
        if found is None or self._is_anothers(found):
            return "gone"
        state = found["State"]
        return "running" if state["Running"] and not state["Restarting"] else "stopped"

    @effect
    def keep(self, service: RunningService) -> None:
        with engine_errors(f"set the restart policy of {service.name}"):
            self._engine.update_container(
                service.service_id, restart_policy={"Name": "unless-stopped"}
            )

    @effect
    def remove(self, service: RunningService, *, grace_s: float) -> None:
        self._routes.withdraw(host_name(service.name))
        self._remove(service.service_id, grace_s=grace_s)

    @effect
    def stop(self, service: RunningService, *, grace_s: float) -> None:
        with engine_errors(f"stop {service.name}"):
            unless_gone(lambda: self._engine.stop(service.service_id, timeout=round(grace_s)))
        if all(self.state(other) != "running" for other in self.find()):
            self._gateway.stop()  # nobody is left to be asked; the next start or publish starts it

    @read
    def logs(self, service: RunningService, *, lines: int) -> str:
        said: list[bytes] = []
        with engine_errors(f"read the log of {service.name}"):
            unless_gone(lambda: said.append(self._engine.logs(service.service_id, tail=lines)))
        return b"".join(said).decode(errors="replace").strip()

    @read
    def find(
        self, model: str | None = None, environment: Environment | None = None
    ) -> list[RunningService]:
        # A container that a person starts from one of our images inherits the image's labels; only
        # a service of ours says for which environment it was started.
        where = "evergreen.environment" + (f"={environment}" if environment else "")
        wanted = [f"{INSTALLATION}={self._installation}", where]
        if model is not None:
            wanted.append(f"evergreen.model={model}")
        with engine_errors("list containers"):
            listed = self._engine.containers(all=True, filters={"label": wanted})
        known = (self._inspect(container["Id"]) for container in listed)
        return [self._service(found) for found in known if found is not None]

    def _revive(self, found: dict[str, Any], order: ServiceOrder, labels: dict[str, str]) -> bool:
        """Whether the container of that name is this order's, and runs (now)."""
        known = found["Config"]["Labels"].get(hardening.CONFIGURATION_LABEL)
        same = found["Image"] == order.image.digest
        if not same or known != labels[hardening.CONFIGURATION_LABEL]:
            return False
        state = found["State"]
        if state["Running"]:
            health = state.get("Health", {}).get("Status", "")
            return not state["Restarting"] and health != "unhealthy"
        still_ours()
        try:
            with engine_errors(f"start {found['Name']} again"):
                return unless_gone(lambda: self._engine.start(found["Id"]))
        except Unavailable as error:
            log.info("%s It is made anew.", error)
            return False

    @effect
    def _create(self, name: str, order: ServiceOrder, labels: dict[str, str], network: str) -> str:
        with engine_errors(f"create {name}"):
            cpus = min(order.limits.cpus, float(self._engine.info()["NCPU"]))
            asked = hardening.host_config(order, network=network, cpus=cpus)
            asked["log_config"] = LogConfig(**asked["log_config"])
            uid, gid = hardening.service_user()
            made = self._engine.create_container(
                order.image.digest,
                name=name,
                user=f"{uid}:{gid}",
                environment=hardening.environment(order),
                labels=labels,
                ports=[hardening.PORT],
                healthcheck=hardening.healthcheck(),
                networking_config=self._engine.create_networking_config(
                    {network: self._engine.create_endpoint_config(aliases=[host_name(name)])}
                ),
                host_config=self._engine.create_host_config(**asked),
            )
        return str(made["Id"])

    def _remove(self, container: str, *, grace_s: float) -> None:
        with engine_errors(f"remove the container {container[:12]}"):
            still_ours()
            unless_gone(lambda: self._engine.stop(container, timeout=round(grace_s)))
            still_ours()
            unless_gone(lambda: self._engine.remove_container(container, v=True, force=True))

    def _inspect(self, name: str) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = []
        with engine_errors(f"look at the container {name}"):
            unless_gone(lambda: found.append(self._engine.inspect_container(name)))
        return found[0] if found else None

    def _is_anothers(self, found: dict[str, Any]) -> bool:
        """Whether it is on the networks of another installation, such as this one before its home
        was moved: our gateway cannot reach it there.
        """
        label: str = found["Config"]["Labels"].get(INSTALLATION, "")
        return label != self._installation and not own_port(found)

    def _in_use(self, place: Place) -> bool:
        """Whether a service of the place's model and environment is there, running or not."""
        return any(
            whose(self._inspect(service.service_id) or {}) == (place.model, place.environment)
            for service in self.find(place.model)
        )

    def _service(self, found: dict[str, Any]) -> RunningService:
        mounts = [m["Source"] for m in found["Mounts"] if m["Destination"] == "/spool"]
        return RunningService(
            service_id=found["Id"],
            name=found["Name"].lstrip("/"),
            runtime="docker",
            endpoint=own_port(found) or self._routes.endpoint(*whose(found)),
            image_digest=found["Image"],
            spool=mounts[0] if mounts else "",
        )


def _make_spool(folder: Path) -> None:
    """A directory that the service may write to and nobody else may read."""
    folder.mkdir(parents=True, exist_ok=True)
    uid, gid = hardening.service_user()
    if os.getuid() == 0:
        os.chown(folder, uid, gid)
    folder.chmod(0o750)
