"""What keeping house needs of a container engine: only what carries a label of ours is listed."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

from include.evergreen.adapters.runtime.docker_engine import (
    EngineRefused,
    engine_errors,
    unless_gone,
)
from include.evergreen.adapters.runtime.gateway import Gateway
from include.evergreen.adapters.runtime.interface import INSTALLATION, StoredImage
from include.evergreen.contracts import RunningService
from include.evergreen.effects import effect, read

_MODEL, _VERSION = "evergreen.model", "evergreen.version"
_REPOSITORY = "evergreen/model:"


class EngineUpkeep:
    """Lists and removes images and networks of one installation on one engine."""

    _engine: Any
    _installation: str
    _gateway: Gateway

    @read
    def started_at(self, service: RunningService) -> dt.datetime | None:
        """See `Runtime`."""
        found: list[dict[str, Any]] = []
        with engine_errors(f"look at the container {service.name}"):
            unless_gone(lambda: found.append(self._engine.inspect_container(service.service_id)))
        if not found:
            return None
        moments = (found[0]["Created"], found[0]["State"]["StartedAt"])
        return max(dt.datetime.fromisoformat(moment) for moment in moments)

    @read
    def images(self) -> list[StoredImage]:
        """See `Runtime`."""
        with engine_errors("list images"):
            listed = self._engine.images(filters={"label": _MODEL})
        return [
            StoredImage(
                reference=tag,
                digest=image["Id"],
                model=image["Labels"][_MODEL],
                version=int(image["Labels"][_VERSION]),
                made_at=dt.datetime.fromtimestamp(image["Created"], dt.UTC),
                ours=image["Labels"].get(INSTALLATION) == self._installation,
            )
            for image in listed
            for tag in image.get("RepoTags") or ()
            if tag.startswith(_REPOSITORY) and image["Labels"].get(_VERSION, "").isdigit()
        ]

    @effect
    def discard(self, reference: str) -> None:
        """See `Runtime`. The engine itself refuses an image that a container was made from."""
        with engine_errors(f"remove the image {reference}"):
            unless_gone(lambda: self._engine.remove_image(reference))

    @read
    def networks(self) -> dict[str, tuple[dt.datetime, int]]:
        """See `Runtime`. Both networks of the gateway are needed while there is any service: also
        one that is stopped, which the engine does not count, cannot start again without.
        """
        found: list[dict[str, Any]] = []
        behind_gateway = self._services_count()
        the_gateways = {self._gateway.networks.inside_name, self._gateway.networks.outside_name}

        def inspect(network: str) -> None:
            found.append(self._engine.inspect_network(network))

        with engine_errors("list networks"):
            for listed in self._engine.networks(filters={"label": self._label()}):
                unless_gone(functools.partial(inspect, listed["Id"]))
        return {
            network["Name"]: (
                dt.datetime.fromisoformat(network["Created"]),
                behind_gateway
                if network["Name"] in the_gateways
                else len(network.get("Containers") or ()),
            )
            for network in found
        }

    @effect
    def remove_network(self, name: str) -> None:
        """See `Runtime`. The engine itself refuses a network that a container is on."""
        networks = self._gateway.networks
        if name in {networks.inside_name, networks.outside_name}:
            if count := self._services_count():
                raise EngineRefused(f"The network {name} stays: {count} services are behind it.")
            self._gateway.remove()
        with engine_errors(f"remove the network {name}"):
            for listed in self._engine.networks(filters={"label": self._label()}):
                if listed["Name"] == name:  # another's may have the same name
                    unless_gone(functools.partial(self._engine.remove_network, listed["Id"]))

    def _services_count(self) -> int:
        wanted = [self._label(), "evergreen.environment"]
        with engine_errors("list containers"):
            return len(self._engine.containers(all=True, filters={"label": wanted}))

    def _label(self) -> str:
        return f"{INSTALLATION}={self._installation}"
