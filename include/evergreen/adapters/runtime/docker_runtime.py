"""Services as hardened containers on this machine's engine, found by label, named by content."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

from docker.types import LogConfig

from include.evergreen.adapters.runtime import container_config as hardening
from include.evergreen.adapters.runtime.docker_engine import engine_errors, unless_gone
from include.evergreen.adapters.runtime.docker_images import KINDS, ServingImages
from include.evergreen.adapters.runtime.docker_upkeep import EngineUpkeep
from include.evergreen.adapters.runtime.interface import (
    INSTALLATION,
    Environment,
    ServiceOrder,
    ServiceState,
    free_port,
    service_name,
)
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.effects import effect, read
from include.evergreen.errors import Unavailable
from include.evergreen.fencing import still_ours
from include.evergreen.settings import Settings

log = logging.getLogger(__name__)

_PORT_TRIES = 5  # somebody else may take the port between finding it free and binding it


class DockerRuntime(EngineUpkeep):
    """See `Runtime`. The port is chosen here, not by the engine, so that it outlives a restart."""

    name: Literal["docker", "process"] = "docker"

    def __init__(self, settings: Settings, engine: Any, images: ServingImages) -> None:
        self._settings = settings
        self._engine = engine
        self._images = images
        self._installation = settings.installation_id

    @effect
    def prepare(self) -> None:
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
        labels = hardening.labels(order, self._installation)
        found = self._inspect(name)
        if found is not None and self._revive(found, order, labels):
            return self._service(self._inspect(name) or found)
        if found is not None:
            log.info("Container %s was left behind unfit; it is made anew.", name)
            self._remove(found["Id"], grace_s=1)
        _make_spool(order.spool)
        for attempt in range(1, _PORT_TRIES + 1):
            port = free_port()
            made = self._create(name, order, labels, port)
            try:
                still_ours()
                with engine_errors(f"start {name}"):
                    self._engine.start(made)
            except Unavailable as error:
                self._remove(made, grace_s=1)
                if "already" not in str(error) or attempt == _PORT_TRIES:
                    raise
                log.info("Port %d was taken meanwhile; another is tried.", port)
            else:
                break
        return self._service(self._inspect(name) or {})

    @read
    def state(self, service: RunningService) -> ServiceState:
        found = self._inspect(service.service_id)
        if found is None:
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
        self._remove(service.service_id, grace_s=grace_s)

    @effect
    def stop(self, service: RunningService, *, grace_s: float) -> None:
        with engine_errors(f"stop {service.name}"):
            unless_gone(lambda: self._engine.stop(service.service_id, timeout=round(grace_s)))

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
    def _create(self, name: str, order: ServiceOrder, labels: dict[str, str], port: int) -> str:
        with engine_errors(f"create {name}"):
            cpus = min(order.limits.cpus, float(self._engine.info()["NCPU"]))
            asked = hardening.host_config(order, port=port, cpus=cpus)
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

    def _service(self, found: dict[str, Any]) -> RunningService:
        bound = found["HostConfig"]["PortBindings"][f"{hardening.PORT}/tcp"][0]
        mounts = [m["Source"] for m in found["Mounts"] if m["Destination"] == "/spool"]
        return RunningService(
            service_id=found["Id"],
            name=found["Name"].lstrip("/"),
            runtime="docker",
            endpoint=f"http://{bound['HostIp']}:{bound['HostPort']}",
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
