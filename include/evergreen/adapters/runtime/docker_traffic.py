"""Whom clients are sent to, where services are containers: the gateway is asked for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from include.evergreen.adapters.runtime import container_config as hardening
from include.evergreen.adapters.runtime.container_config import host_name
from include.evergreen.adapters.runtime.gateway import Gateway
from include.evergreen.adapters.runtime.gateway_place import SLOTS
from include.evergreen.adapters.runtime.gateway_routes import Routes, address_in
from include.evergreen.adapters.runtime.interface import (
    PATIENCE_S,
    DoorSettings,
    Environment,
    Traffic,
)
from include.evergreen.contracts import RunningService
from include.evergreen.effects import effect, read
from include.evergreen.errors import Unavailable


class EngineTraffic:
    """See `Runtime`. A container from before there was a gateway has an address of its own."""

    splits = True
    _gateway: Gateway
    _routes: Routes

    @effect
    def reach(self, service: RunningService) -> str:
        found = self._require(service)
        if own_port(found):
            return service.endpoint
        return self._routes.reach(*whose(found), host_name(service.name), self._address(service))

    @effect
    def publish(
        self,
        service: RunningService,
        *,
        spare: RunningService | None = None,
        patience_s: float = PATIENCE_S,
    ) -> RunningService:
        found = self._require(service)
        if not own_port(found):
            self._routes.publish(
                *whose(found),
                host_name(service.name),
                self._address(service),
                spare=host_name(spare.name) if spare and spare.name != service.name else "",
                patience_s=patience_s,
            )
        return self._service(found)

    @effect
    def split(
        self,
        shares: Mapping[RunningService, float],
        *,
        sticky: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> None:
        places = {whose(self._require(service)) for service in shares}
        _check_shares(shares, places)
        self._routes.split(
            *places.pop(),
            {host_name(service.name): share for service, share in shares.items()},
            {host_name(service.name): self._address(service) for service in shares},
            sticky=sticky,
            patience_s=patience_s,
        )

    @read
    def traffic(self, model: str, environment: Environment) -> Traffic:
        names = {host_name(found.name): found.name for found in self.find(model, environment)}
        now = self._routes.traffic(model, environment)
        shares = {names.get(host, host): share for host, share in now.shares.items()}
        return Traffic(shares, names.get(now.spare, now.spare), sticky=now.sticky)

    @effect
    def guard(self, model: str, environment: Environment, door: DoorSettings) -> None:
        self._routes.guard(model, environment, door)

    @read
    def is_guarded(self, model: str, environment: Environment, door: DoorSettings) -> bool:
        return self._routes.is_guarded(model, environment, door)

    def _require(self, service: RunningService) -> dict[str, Any]:
        found = self._inspect(service.service_id)
        if found is None:
            raise Unavailable(f"{service.name} is gone: the next try starts it again.")
        return found

    def _address(self, service: RunningService) -> Callable[[], str]:
        network = self._gateway.networks.ensure_inside()
        return lambda: address_in(self._inspect(service.service_id), network)

    @read
    def find(
        self, model: str | None = None, environment: Environment | None = None
    ) -> list[RunningService]:
        """See `Runtime`."""
        raise NotImplementedError

    def _inspect(self, name: str) -> dict[str, Any] | None:
        raise NotImplementedError

    def _service(self, found: dict[str, Any]) -> RunningService:
        raise NotImplementedError


def whose(found: dict[str, Any]) -> tuple[str, str]:
    """The model and the environment that a container serves."""
    known = found.get("Config", {}).get("Labels", {})
    return known.get("evergreen.model", ""), known.get("evergreen.environment", "")


def own_port(found: dict[str, Any]) -> str:
    """The address of a container from before there was a gateway, which published its own port."""
    bound = (found["HostConfig"].get("PortBindings") or {}).get(f"{hardening.PORT}/tcp")
    return f"http://{bound[0]['HostIp']}:{bound[0]['HostPort']}" if bound else ""


def _check_shares(
    shares: Mapping[RunningService, float], places: AbstractSet[tuple[str, str]]
) -> None:
    """Raise ValueError where requests cannot be divided so."""
    given = {service.name: share for service, share in shares.items()}
    adds_up = math.isclose(math.fsum(given.values()), 1, abs_tol=1e-6)
    if not 1 <= len(given) <= len(SLOTS) or min(given.values()) <= 0 or not adds_up:
        raise ValueError(
            f"Shares for one to {len(SLOTS)} services are expected, above 0 and 1 together; seen "
            f"{given}."
        )
    if len(places) != 1:
        raise ValueError(f"{', '.join(given)} are not of one model in one environment.")
