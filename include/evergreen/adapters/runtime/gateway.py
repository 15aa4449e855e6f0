"""One HAProxy container an installation: the only door to its services, bound to 127.0.0.1.

A model has one address in an environment, whichever version answers there. What HAProxy starts
with lies in files (`gateway_places`), and what changes while it runs is ordered over its socket
(`gateway_socket`), so that neither a switch nor a restart of either side loses who answers where.
See docs/adr/0008-gateway.md.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from typing import Any

from docker.types import LogConfig, Ulimit

from include.evergreen.adapters.runtime import gateway_socket
from include.evergreen.adapters.runtime.container_config import service_user
from include.evergreen.adapters.runtime.docker_engine import (
    EngineRefused,
    engine_errors,
    unless_gone,
)
from include.evergreen.adapters.runtime.docker_images import ServingImages
from include.evergreen.adapters.runtime.docker_networks import Networks
from include.evergreen.adapters.runtime.gateway_config import (
    CONFIG_DIR,
    FIRST_PORT,
    PLACES,
    RUN_DIR,
    base_config,
    place_config,
)
from include.evergreen.adapters.runtime.gateway_places import PlaceFiles
from include.evergreen.adapters.runtime.interface import INSTALLATION, is_free
from include.evergreen.effects import effect, read
from include.evergreen.errors import Unavailable
from include.evergreen.fencing import still_ours
from include.evergreen.settings import Settings

log = logging.getLogger(__name__)

GATEWAY_LABEL = "evergreen.gateway"
MEMORY_MIB, PIDS = 128, 32
_PORTS = range(20_000, 32_000, PLACES)  # below those that Linux gives to outgoing connections
_ANSWER_S, _POLL_S = 10.0, 0.05
_TAKEN_BACK_S = 0.5
_TRIES = 5


class Gateway:
    """The container: there, running and what it should be, or made so."""

    def __init__(self, settings: Settings, engine: Any, images: ServingImages) -> None:
        self._engine, self._images = engine, images
        self._installation = settings.installation_id
        self.files = PlaceFiles(settings.home / "gateway")
        self.networks = Networks(engine, settings.installation_id)
        self.name = f"evergreen-{settings.installation_id}-gateway"

    @effect
    def ensure_running(self) -> None:
        """Make sure that it runs and answers its socket; where it does, nothing is changed.

        Raises:
            Unavailable: the engine has no image for it and can pull none, or it does not start.
        """
        for _ in range(_TRIES):
            image = self._images.gateway()
            inside, outside = self.networks.ensure_inside(), self.networks.ensure_outside()
            wanted = _digest(image, inside, outside)
            found = self._inspect()
            if found is None:
                self._create_gateway(image, outside, wanted)
            elif found["Config"]["Labels"].get(GATEWAY_LABEL) != wanted:
                log.warning("The gateway %s is of an earlier kind: it is made anew.", self.name)
                self.remove()
            elif found["State"]["Running"] or self._start_gateway(found, inside):
                self.files.remember_first_port(_first_port(found))
                self._wait_for_answer()
                return
        raise Unavailable(
            f"The gateway {self.name} could not be started in {_TRIES} tries: its published ports "
            "are taken again and again. Look at what else listens on 127.0.0.1."
        )

    @read
    def address(self, number: int) -> str:
        """The base URL of a place; '' before the gateway was ever made."""
        first = self.files.first_port()
        return f"http://127.0.0.1:{first + number - 1}" if first else ""

    @effect
    def remove(self) -> None:
        """Remove the container; its places, and their addresses, are kept for the next one."""
        with engine_errors(f"remove the gateway {self.name}"):
            unless_gone(lambda: self._engine.stop(self.name, timeout=5))
            still_ours()
            unless_gone(lambda: self._engine.remove_container(self.name, v=True, force=True))

    @effect
    def stop(self) -> None:
        """Stop the container; the next `ensure_running` starts it."""
        with engine_errors(f"stop the gateway {self.name}"):
            unless_gone(lambda: self._engine.stop(self.name, timeout=5))

    @effect
    def _create_gateway(self, image: str, outside: str, wanted: str) -> None:
        """Make the container, not started yet; one that somebody else made meanwhile is left."""
        self.files.prepare()
        self.files.write_config()
        first = self._choose_ports()
        self.files.remember_first_port(first)
        uid, gid = service_user()
        still_ours()
        try:
            with engine_errors(f"create the gateway {self.name}"):
                self._engine.create_container(
                    image,
                    ["-db", "-f", CONFIG_DIR],
                    name=self.name,
                    entrypoint=["haproxy"],
                    user=f"{uid}:{gid}",
                    labels={INSTALLATION: self._installation, GATEWAY_LABEL: wanted},
                    ports=[FIRST_PORT + i for i in range(PLACES)],
                    stop_signal="SIGUSR1",  # what is being answered is answered
                    host_config=self._host_config(first, outside),
                )
        except EngineRefused:
            if self._inspect() is None:
                raise
            log.info("Somebody else made the gateway %s meanwhile.", self.name)

    @effect
    def _start_gateway(self, found: dict[str, Any], inside: str) -> bool:
        """Start it, on both networks; False if it has to be tried again."""
        container = found["Id"]
        try:
            if self.networks.inside_name not in found["NetworkSettings"]["Networks"]:
                self._join_network(container, inside)
            with engine_errors(f"start the gateway {self.name}"):
                return unless_gone(lambda: self._engine.start(container))
        except EngineRefused as error:
            if "ambiguous" not in str(error):
                raise
            log.info("%s Who made the second one is about to remove it.", error)
            time.sleep(_TAKEN_BACK_S)
            return False
        except Unavailable as error:
            log.warning("%s It is made anew, with the ports that are free now.", error)
            self.remove()
            return False

    @effect
    def _join_network(self, container: str, network: str) -> None:
        with engine_errors(f"put the gateway {self.name} on the network of the services"):
            self._engine.connect_container_to_network(container, network)

    def _host_config(self, first: int, outside: str) -> Any:
        memory = MEMORY_MIB * 2**20
        return self._engine.create_host_config(
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            privileged=False,
            mem_limit=memory,
            memswap_limit=memory,
            pids_limit=PIDS,
            ulimits=[Ulimit(name="nofile", soft=8192, hard=8192)],
            binds={
                str(self.files.config): {"bind": CONFIG_DIR, "mode": "ro"},
                str(self.files.run): {"bind": RUN_DIR, "mode": "rw"},
            },
            port_bindings={FIRST_PORT + i: ("127.0.0.1", first + i) for i in range(PLACES)},
            network_mode=outside,
            dns=["127.0.0.1"],  # names of containers only; any other is asked of nobody
            restart_policy={"Name": "unless-stopped"},
            log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        )

    def _choose_ports(self) -> int:
        """The first of as many free ports in a row; those it had, wherever that is possible."""
        known: int | None = self.files.first_port()
        start = int(self._installation, 16) % len(_PORTS)
        candidates: list[int] = [*_PORTS[start:], *_PORTS[:start]]
        if known:
            candidates.insert(0, known)
        for first in candidates:
            if all(is_free(first + i) for i in range(PLACES)):
                if known and first != known:
                    log.warning(
                        "Somebody else listens on a port from %d on: every address of the gateway "
                        "changes, to %d and those after it.", known, first,
                    )  # fmt: skip
                return first
        raise Unavailable(f"There are no {PLACES} free ports in a row on 127.0.0.1.")

    def _wait_for_answer(self) -> None:
        deadline = time.monotonic() + _ANSWER_S
        while True:
            try:
                gateway_socket.ask(self.files.run, "show info")
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{error} Its last words: {self._last_words()}") from error
                time.sleep(_POLL_S)
            else:
                return

    def _last_words(self) -> str:
        said: list[bytes] = []
        with engine_errors(f"read the log of {self.name}"):
            unless_gone(lambda: said.append(self._engine.logs(self.name, tail=10)))
        return b"".join(said).decode(errors="replace").strip()

    def _inspect(self) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = []
        with engine_errors(f"look at the gateway {self.name}"):
            unless_gone(lambda: found.append(self._engine.inspect_container(self.name)))
        return found[0] if found else None


def _digest(image: str, inside: str, outside: str) -> str:
    """What makes a gateway the one that is wanted; who answers where is no part of it."""
    told = [base_config(), place_config(1, None)]
    asked = [image, inside, outside, service_user(), *told, MEMORY_MIB, PIDS, PLACES]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _first_port(found: dict[str, Any]) -> int:
    bound = found["HostConfig"]["PortBindings"][f"{FIRST_PORT}/tcp"]
    return int(bound[0]["HostPort"])
