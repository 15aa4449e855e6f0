"""Whom clients are sent to, how patiently, and through which door: asked of the gateway here alone.

Staging has no door: who asks there is on this machine, and proves. Production has the spec's. Where
the certificate or the token for it is missing, nobody is sent anywhere who was not sent before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from include.evergreen.adapters.runtime import PATIENCE_S, Environment, Runtime
from include.evergreen.contracts import RunningService
from include.evergreen.errors import ArtifactRefused, LeaseLost, SettingsError, Unavailable
from include.evergreen.fencing import making_good
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.release.door import door_of
from include.evergreen.stages.release.stand import under_way
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

_PATIENCE_P99S = 10


def patience_s(spec: ModelSpec) -> float:
    """How long one version may think about a request while another could answer it."""
    return max(PATIENCE_S, _PATIENCE_P99S * spec.deployment.service_levels.p99_ms / 1000)


def publish(
    resources: Resources, environment: Environment, service: RunningService
) -> RunningService:
    """Send clients to a service, through the door; the ledger's spare answers what it does not.

    Who finds that its lease was over sends them to what is live.

    Raises:
        Unavailable: they cannot be sent to it now.
        SettingsError: the door is to be shut and what it needs is missing; nobody is let in yet.
        ArtifactRefused: the door's certificate cannot be used; nobody is let in yet.
        Unsupported: there is to be a door, and nothing it could be in.
        LeaseLost: another run has taken over.
    """
    with _made_good(resources, environment):
        _stand_at_the_door(resources, environment, runtime_for(resources, service))
        return _publish(resources, environment, service)


def divide(
    resources: Resources, shares: Mapping[RunningService, float], *, sticky: bool = False
) -> None:
    """Divide the clients of production; who finds that its lease was over makes it good.

    Raises:
        Unavailable: they cannot be divided so now.
        LeaseLost: another run has taken over.
    """
    with _made_good(resources, PRODUCTION):
        runtime_for(resources, next(iter(shares))).split(
            shares, sticky=sticky, patience_s=patience_s(resources.spec)
        )


def is_divided(resources: Resources, environment: Environment, live: RunningService) -> bool:
    """Whether clients are divided between the champion and its challenger, and are to be.

    Both run, and the strategy that the ledger has under way has not come to its end.
    """
    runtime = runtime_for(resources, live)
    try:
        asked = set(runtime.traffic(resources.model, environment).shares)
    except Unavailable:
        return False
    if live.name not in asked or asked == {live.name}:
        return False
    begun = under_way(resources)
    if begun is None or begun.stand.ends:
        return False
    challenger = begun.stand.proven.service
    both = {live.name, challenger.name}
    return asked == both and all(runtime.state(each) == "running" for each in (live, challenger))


def leave_divided(
    resources: Resources, environment: Environment, live: RunningService
) -> RunningService:
    """The champion as it is found now; its clients are divided as they were, behind the door."""
    runtime = runtime_for(resources, live)
    _stand_at_the_door(resources, environment, runtime)
    found = runtime.find(resources.model, environment)
    return next((service for service in found if service.name == live.name), live)


def shut_door(resources: Resources, environment: Environment, runtime: Runtime) -> None:
    """From now on the door is as the spec says; a no-op where it is.

    Raises:
        SettingsError: what it needs is missing; the door is as it was.
        ArtifactRefused: its certificate cannot be used; the door is as it was.
        Unsupported: there is to be a door, and nothing it could be in.
        Unavailable: the gateway does not answer.
    """
    if environment != PRODUCTION:
        return
    door = door_of(resources.spec.deployment.door, resources.settings)
    if runtime.splits or not door.open:
        runtime.guard(resources.model, environment, door)


def door_is_wrong(resources: Resources, runtime: Runtime) -> bool:
    """Whether production's door is another than the spec asks for, and could be made right.

    Raises:
        Unavailable: the gateway does not answer.
    """
    if not runtime.splits:
        return False
    try:
        door = door_of(resources.spec.deployment.door, resources.settings)
    except SettingsError as error:
        log.warning("The door of %s is left as it is: %s", resources.model, error)
        return False
    return not runtime.is_guarded(resources.model, PRODUCTION, door)


def refuse_without_door(resources: Resources, environment: Environment, runtime: Runtime) -> None:
    """Where a service answers its clients as soon as it is started, it has none in front of it.

    Raises:
        Unsupported: the spec asks for a door.
        SettingsError: it does, and what it needs is missing, too.
    """
    if not runtime.splits:
        shut_door(resources, environment, runtime)


def _stand_at_the_door(resources: Resources, environment: Environment, runtime: Runtime) -> None:
    """As `shut_door`; where clients are let in already, what is missing is said and no error."""
    try:
        shut_door(resources, environment, runtime)
    except (SettingsError, ArtifactRefused) as error:
        if not runtime.traffic(resources.model, environment).shares:
            raise
        log.warning(
            "The door of %s is as it was, for who is let in now is let in already: %s",
            resources.model,
            error,
        )


def _publish(
    resources: Resources, environment: Environment, service: RunningService
) -> RunningService:
    runtime = runtime_for(resources, service)
    spare = _spare(resources, environment, service)
    return runtime.publish(service, spare=spare, patience_s=patience_s(resources.spec))


def _spare(
    resources: Resources, environment: Environment, service: RunningService
) -> RunningService | None:
    """The service that answers what this one does not: the ledger's spare, if it runs."""
    runtime = runtime_for(resources, service)
    for record in resources.ledger.deployments(resources.model, ["spare"], environment):
        spare = record.service
        if spare is None or spare.name == service.name:
            continue
        if not runtime.splits or spare.runtime != service.runtime:
            log.info("%s stays warm; nothing could ask it if %s ended.", spare.name, service.name)
            continue
        if runtime.state(spare) == "running":
            return spare
        log.warning("%s was kept warm and does not run: nothing stands in.", spare.name)
    return None


@contextmanager
def _made_good(resources: Resources, environment: Environment) -> Iterator[None]:
    """Who slept past its lease and changed whom clients are sent to, sends them to what is live."""
    try:
        yield
    except LeaseLost:
        with making_good():
            live = resources.ledger.deployment(resources.model, environment)
            if live is not None and not is_divided(resources, environment, live.service):
                _publish(resources, environment, live.service)
        raise
