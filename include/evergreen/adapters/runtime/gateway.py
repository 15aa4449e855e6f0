"""One HAProxy container an installation: the only door to its services, bound to 127.0.0.1.

A model has one address in an environment, whichever version answers there. What HAProxy starts
with lies in files (`gateway_places`), and what changes while it runs is ordered over its socket
(`gateway_socket`), so that neither a switch nor a restart of either side loses who answers where.
See docs/adr/0008-gateway.md.
"""

from __future__ import annotations

import contextlib
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
    PROVERS_PORT,
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
_PROVERS_PORTS = range(18_000, 20_000)
_ANSWER_S, _POLL_S = 10.0, 0.05
_TAKEN_BACK_S = 0.5
_LAST_ANSWERS_S = 6  # HAProxy itself stops waiting for them after five
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
        why = "it was removed again and again"
        restarted = False
        for _ in range(_TRIES):
            found = self._inspect()
            image = "" if found else self._images.gateway()
            inside, outside = self.networks.ensure_inside(), self.networks.ensure_outside()
            wanted = _digest(inside, outside)
            if found is None:
                self._create_gateway(image, inside, outside, wanted)
                continue
            if found["Config"]["Labels"].get(GATEWAY_LABEL) != wanted:
                self._images.gateway()  # the next one can be made, before this one goes
                log.warning("The gateway %s is of an earlier kind: it is made anew.", self.name)
                self.remove(found["Id"])
                continue
            try:
                self._start_gateway(found, inside)
                self._wait_for_answer()
            except Unavailable as error:
                why = str(error)
                self._start_again(found["Id"], why, restarted=restarted)
                restarted = True
                continue
            self.files.remember_ports(*_ports_of(found))
            return
        raise Unavailable(f"The gateway {self.name} does not start in {_TRIES} tries: {why}")

    @effect
    def _start_again(self, container: str, why: str, *, restarted: bool) -> None:
        """Make a gateway that is deaf hear again: first the same one, then another."""
        still_ours()
        if not restarted:
            log.warning("%s It is restarted.", why)
            with contextlib.suppress(Unavailable), engine_errors(f"restart {self.name}"):
                unless_gone(lambda: self._engine.restart(container, timeout=1))
                return
        log.warning("%s It is made anew, with the ports that are free now.", why)
        self.remove(container)

    @read
    def incarnation(self) -> str:
        """Another one after each start of the container; '' while there is none."""
        found = self._inspect()
        return f"{found['Id']} {found['State']['StartedAt']}" if found else ""

    @read
    def address(self, number: int) -> str:
        """The base URL of a place; '' before the gateway was ever made."""
        first = self.files.first_port()
        place = next((p for p in self.files.taken() if p.number == number), None)
        scheme = "https" if place and place.tls else "http"
        return f"{scheme}://127.0.0.1:{first + number - 1}" if first else ""

    @read
    def provers_address(self, number: int, slot: str) -> str:
        """The base URL of one server of a place. Who has it is let in: it is nothing to log."""
        port, secret = self.files.provers_port(), self.files.secret()
        return f"http://127.0.0.1:{port}/{secret}/{number:02d}/{slot}"

    @effect
    def restart(self) -> None:
        """Start it anew with what its files say. What is being answered is answered first."""
        with engine_errors(f"restart the gateway {self.name}"):
            unless_gone(lambda: self._engine.restart(self.name, timeout=_LAST_ANSWERS_S))
        self._wait_for_answer()

    @effect
    def remove(self, container: str | None = None) -> None:
        """Remove the container, or this very one only; its places and their addresses are kept."""
        which = container or self.name
        with engine_errors(f"remove the gateway {self.name}"):
            unless_gone(lambda: self._engine.stop(which, timeout=5))
            still_ours()
            unless_gone(lambda: self._engine.remove_container(which, v=True, force=True))

    @effect
    def stop(self) -> None:
        """Stop the container; the next `ensure_running` starts it."""
        with engine_errors(f"stop the gateway {self.name}"):
            unless_gone(lambda: self._engine.stop(self.name, timeout=5))

    @effect
    def _create_gateway(self, image: str, inside: str, outside: str, wanted: str) -> None:
        """Make the container, not started yet; one that somebody else made meanwhile is left."""
        self.files.prepare()
        self.files.write_config(self.networks.subnet_of(inside))
        first, provers = self._choose_ports(), self._choose_provers_port()
        self.files.remember_ports(first, provers)
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
                    ports=[PROVERS_PORT, *(FIRST_PORT + i for i in range(PLACES))],
                    stop_signal="SIGUSR1",  # what is being answered is answered
                    host_config=self._host_config(first, provers, outside),
                )
        except EngineRefused:
            if self._inspect() is None:
                raise
            log.info("Somebody else made the gateway %s meanwhile.", self.name)

    @effect
    def _start_gateway(self, found: dict[str, Any], inside: str) -> None:
        """Have it run, on both networks.

        Raises:
            Unavailable: it does not start now.
        """
        if self.networks.inside_name not in found["NetworkSettings"]["Networks"]:
            self._join_network(found["Id"], inside)
        if found["State"]["Running"]:
            return
        try:
            with engine_errors(f"start the gateway {self.name}"):
                unless_gone(lambda: self._engine.start(found["Id"]))
        except EngineRefused as error:
            if "ambiguous" not in str(error):
                raise
            time.sleep(_TAKEN_BACK_S)
            raise Unavailable(f"{error} Who made the second one is about to remove it.") from error

    @effect
    def _join_network(self, container: str, network: str) -> None:
        try:
            with engine_errors(f"put the gateway {self.name} on the network of the services"):
                self._engine.connect_container_to_network(container, network)
        except EngineRefused as error:
            if "already exists" not in str(error):  # somebody else did it meanwhile
                raise

    def _host_config(self, first: int, provers: int, outside: str) -> Any:
        memory = MEMORY_MIB * 2**20
        bound = {FIRST_PORT + i: ("127.0.0.1", first + i) for i in range(PLACES)}
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
            port_bindings={PROVERS_PORT: ("127.0.0.1", provers), **bound},
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

    def _choose_provers_port(self) -> int:
        start = int(self._installation, 16) % len(_PROVERS_PORTS)
        known: int | None = self.files.provers_port()
        kept: list[int] = [known] if known else []
        ports: list[int] = [*kept, *_PROVERS_PORTS[start:], *_PROVERS_PORTS[:start]]
        for port in ports:
            if is_free(port):
                return port
        raise Unavailable(f"No port of 127.0.0.1 is free from {_PROVERS_PORTS[0]} on.")

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


def _digest(inside: str, outside: str) -> str:
    """What makes a gateway the one that is wanted. Who answers where is no part of it, nor is its
    image: a tag that moved is no reason to shut every model's door.
    """
    told = [base_config(inside), place_config(1, None)]
    asked = [inside, outside, service_user(), *told, MEMORY_MIB, PIDS, PLACES]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def _ports_of(found: dict[str, Any]) -> tuple[int, int]:
    """On this machine: the first of the places', and the one of those who prove."""
    bound = found["HostConfig"]["PortBindings"]
    first, provers = (int(bound[f"{p}/tcp"][0]["HostPort"]) for p in (FIRST_PORT, PROVERS_PORT))
    return first, provers
