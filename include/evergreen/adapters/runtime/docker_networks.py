"""The two networks of an installation: one for its services without a way out, one for the gateway.

Names are not unique on an engine, so a network is known by its label, too, and used by its id.
"""

from __future__ import annotations

import functools
from typing import Any

from include.evergreen.adapters.runtime.docker_engine import (
    EngineRefused,
    engine_errors,
    unless_gone,
)
from include.evergreen.adapters.runtime.interface import INSTALLATION
from include.evergreen.effects import effect, read
from include.evergreen.fencing import still_ours

#: No address of this machine on the bridge: a service reaches none of the machine's own ports, and
#: the machine no service but through the gateway. Later engines know it by another name, too.
_INSIDE = {
    "com.docker.network.bridge.inhibit_ipv4": "true",
    "com.docker.network.bridge.gateway_mode_ipv4": "isolated",
}
_OUTSIDE = {"com.docker.network.bridge.enable_ip_masquerade": "false"}


class Networks:
    """Each is made when first asked for, and found again later."""

    def __init__(self, engine: Any, installation: str) -> None:
        self._engine, self._installation = engine, installation
        self.inside_name = f"evergreen-{installation}-models"
        self.outside_name = f"evergreen-{installation}-gateway"

    @effect
    def ensure_inside(self) -> str:
        """The id of the network of the services: none of them can leave it."""
        return self._ensure(self.inside_name, internal=True, options=_INSIDE)

    @effect
    def ensure_outside(self) -> str:
        """The id of the network on which only the gateway is, so that it can publish ports."""
        return self._ensure(self.outside_name, internal=False, options=_OUTSIDE)

    @read
    def found(self, name: str) -> list[str]:
        """The ids of the networks of this name, oldest first: one, or two for a moment.

        Raises:
            EngineRefused: one is somebody else's, or lets out what must stay in.
        """
        with engine_errors(f"list the networks named {name}"):
            listed = self._engine.networks(names=[f"^{name}$"])
        same = [network for network in listed if network["Name"] == name]
        for network in same:
            if (network["Labels"] or {}).get(INSTALLATION) != self._installation:
                raise EngineRefused(
                    f"There is a network {name} that this installation did not make; nothing of "
                    f"ours goes there. See whose it is (docker network inspect {name}), remove it "
                    "and run the deployment again."
                )
            if name == self.inside_name and _lets_out(network):
                raise EngineRefused(
                    f"The network {name} is not internal, has an address of this machine, or IPv6: "
                    "what is on it could reach out. Remove it (docker network rm "
                    f"{name}) and run the deployment again."
                )
        return [n["Id"] for n in sorted(same, key=lambda n: (n["Created"], n["Id"]))]

    @read
    def subnet_of(self, network: str) -> str:
        """The addresses of a network, such as 172.18.0.0/16."""
        with engine_errors(f"look at the network {network}"):
            return str(self._engine.inspect_network(network)["IPAM"]["Config"][0]["Subnet"])

    def _ensure(self, name: str, *, internal: bool, options: dict[str, str]) -> str:
        if not self.found(name):
            self._create_network(name, internal=internal, options=options)
        first, *younger = self.found(name)
        for double in younger:  # of two runs at once; the engine starts nothing until one goes
            with engine_errors(f"remove the second network named {name}"):
                still_ours()
                unless_gone(functools.partial(self._engine.remove_network, double))
        return first

    @effect
    def _create_network(self, name: str, *, internal: bool, options: dict[str, str]) -> None:
        still_ours()
        try:
            with engine_errors(f"make the network {name}"):
                self._engine.create_network(
                    name,
                    driver="bridge",
                    check_duplicate=True,
                    internal=internal,
                    options=options,
                    labels={INSTALLATION: self._installation},
                )
        except EngineRefused:
            if not self.found(name):
                raise


def _lets_out(network: dict[str, Any]) -> bool:
    options = network.get("Options") or {}
    closed = all(options.get(name) == value for name, value in _INSIDE.items())
    return not (network["Internal"] and closed) or bool(network.get("EnableIPv6"))
