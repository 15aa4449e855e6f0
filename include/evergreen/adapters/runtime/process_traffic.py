"""Whom clients are sent to, where services are plain processes: nobody sends them anywhere."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from include.evergreen.adapters.runtime.interface import (
    PATIENCE_S,
    DoorSettings,
    Environment,
    Traffic,
)
from include.evergreen.contracts import RunningService
from include.evergreen.effects import effect, read
from include.evergreen.errors import Unsupported

log = logging.getLogger(__name__)


class NoTraffic:
    """See `Runtime`. What needs a gateway is refused, not done by halves."""

    splits = False

    @read
    def reach(self, service: RunningService) -> str:
        return service.endpoint

    @effect
    def publish(
        self,
        service: RunningService,
        *,
        spare: RunningService | None = None,
        patience_s: float = PATIENCE_S,  # noqa: ARG002 - nobody else could answer
    ) -> RunningService:
        if spare is not None:
            raise _unsupported(f"{spare.name} cannot be the spare of {service.name}")
        log.info(
            "%s is a plain process without a gateway: its address %s is its own, and the next "
            "version has another.", service.name, service.endpoint,
        )  # fmt: skip
        return service

    @effect
    def split(
        self,
        shares: Mapping[RunningService, float],
        *,
        sticky: bool = False,  # noqa: ARG002 - as in `Runtime`
        patience_s: float = PATIENCE_S,  # noqa: ARG002 - as in `Runtime`
    ) -> None:
        names = ", ".join(service.name for service in shares)
        raise _unsupported(f"Requests cannot be divided among {names}")

    @read
    def traffic(self, model: str, environment: Environment) -> Traffic:  # noqa: ARG002
        return Traffic({})  # every process is asked by those who know its address

    @effect
    def guard(self, model: str, environment: Environment, door: DoorSettings) -> None:
        if not door.open:
            raise _unsupported(f"{model} in {environment} cannot have a door")

    @read
    def is_guarded(self, model: str, environment: Environment, door: DoorSettings) -> bool:  # noqa: ARG002
        return door.open

    @read
    def way_to(self, _: RunningService) -> str:
        return ""


def _unsupported(what: str) -> Unsupported:
    return Unsupported(
        f"{what}: plain processes have no gateway in front of them. Set deployment.runtime to "
        "docker where an engine runs, or do without."
    )
