"""Ledger, registry and engine agree after any crash: the ledger is right, the rest follows."""

from __future__ import annotations

import datetime as dt
import logging

from include.evergreen.adapters.runtime import Environment
from include.evergreen.contracts import Deployment
from include.evergreen.errors import ArtifactRefused, SettingsError, Unavailable, Unsupported
from include.evergreen.stages.deploy.deployment_lease import deployment_lease
from include.evergreen.stages.deploy.records import live_record
from include.evergreen.stages.deploy.services import GRACE_S, order_for, runtime_for
from include.evergreen.stages.deploy.traffic import (
    is_divided,
    leave_divided,
    publish,
    refuse_without_door,
)
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: The name under which the registry knows what answers in an environment.
ALIASES: dict[Environment, str] = {"staging": "staging", "production": "champion"}
#: What the reason of a deployment begins with that was live and rolled back.
ROLLED_BACK = "rolled back"
#: What the reason of a deployment begins with that a rollback made.
BACK = "back in production"


def settle_deployments(
    resources: Resources,
    environment: Environment,
    *,
    now: dt.datetime,
    alias_may_lag: bool = False,
) -> None:
    """Finish what an interrupted run began; a no-op where nothing was interrupted.

    The live service runs and clients are sent to it, through the door that the spec has by now, the
    alias points at its version, those it replaced are stopped and removed, attempts begun before it
    are closed, and what the journal has is anchored. Clients come first: they do not wait for a
    registry that is away. Where they are divided between it and a challenger, and both run, they
    stay so. A spare is let be, and stands in: who watches the live one decides on it.

    Raises:
        Unavailable: the registry is away, and the alias may not lag behind what answers; all else
            is done.
    """
    with deployment_lease(resources, environment):
        live = resources.ledger.deployment(resources.model, environment)
        published = live is None
        if live is not None:
            again = _restart(resources, live, now)
            published = _publish_live(resources, environment, now, restarted=again)
        if published:
            _stop_replaced(resources, environment, now)
        _close_overtaken(resources, environment, now)
        anchor_entries(resources, resources.model, now=now)
        if live is not None:
            _point_alias(resources, live, may_lag=alias_may_lag)


def remove_orphans(resources: Resources, environment: Environment, *, keep: str) -> None:
    """Remove services of this model that are neither live nor named `keep`: a crash left them.

    One that was replaced is not touched: it may be the one that clients are still sent to.
    """
    kept = resources.ledger.deployments(resources.model, ["live", "spare", "stopping"], environment)
    wanted = {keep, *(record.service_name for record in kept)}
    for service in resources.runtime.find(resources.model, environment):
        if service.name not in wanted:
            log.warning("Removing %s: it was left behind by an interrupted run.", service.name)
            resources.runtime.remove(service, grace_s=GRACE_S)


def alias_lags(resources: Resources, live: Deployment) -> bool:
    """Whether the alias of an environment points at another version than answers there.

    Raises:
        Unavailable: the registry is away.
    """
    return _pointed_at(resources, ALIASES[live.environment]) != live.version


def _point_alias(resources: Resources, live: Deployment, *, may_lag: bool) -> None:
    who, alias = f"{live.model} v{live.version}", ALIASES[live.environment]
    try:
        resources.registry.version_info(live.model, live.version)
        if alias_lags(resources, live):
            resources.registry.set_alias(live.model, alias, live.version)
            log.info("Alias %s now points at %s.", alias, who)
    except ArtifactRefused as error:
        log.warning("%s answers, but no alias can point at it: %s", who, error)
    except Unavailable as error:
        if not may_lag:
            raise
        log.warning("%s answers; the alias %s follows in a later run: %s", who, alias, error)


def _pointed_at(resources: Resources, alias: str) -> int | None:
    try:
        return resources.registry.version_of(resources.model, alias)
    except ArtifactRefused as error:
        log.warning("%s", error)
        return None


def _restart(resources: Resources, live: Deployment, now: dt.datetime) -> bool:
    """Whether the live service had to be started again: the machine or its process went down."""
    image = resources.ledger.image(live.model, live.version, live.service.runtime)
    environment = live.environment
    before = live_record(resources.ledger, resources.model, environment)
    try:
        runtime = runtime_for(resources, live.service)
        if image is None or runtime.state(live.service) == "running":
            return False
        refuse_without_door(resources, environment, runtime)
        if not runtime.has(image):
            log.error(
                "%s v%d is live in the ledger but neither its service nor its image %s is there: "
                "run %s.deploy by hand with version %d%s.",
                *(live.model, live.version, image.reference, live.model, live.version),
                ", then release with it" if environment == "production" else "",
            )
            return False
        service = runtime.start(order_for(resources, image, environment))
        runtime.keep(service)
    except (Unavailable, SettingsError, Unsupported) as error:
        log.warning("%s v%d cannot be looked after now: %s", live.model, live.version, error)
        return False
    log.warning(
        "%s v%d had stopped; it was started again at %s.",
        live.model,
        live.version,
        service.endpoint,
    )
    if before is None or live_record(resources.ledger, resources.model, environment) != before:
        log.warning("Another version went live meanwhile: %s is removed again.", service.name)
        runtime.remove(service, grace_s=GRACE_S)
        return False
    resources.ledger.record_service(before.id, service, now)
    return True


def _publish_live(
    resources: Resources, environment: Environment, now: dt.datetime, *, restarted: bool
) -> bool:
    """Send clients to what is live; False where that cannot be: who answered before still does."""
    live = live_record(resources.ledger, resources.model, environment)
    if live is None or live.service is None:
        return False
    try:
        if not restarted and is_divided(resources, environment, live.service):
            service = leave_divided(resources, environment, live.service)
        else:
            service = publish(resources, environment, live.service)
    except (Unavailable, SettingsError, ArtifactRefused, Unsupported) as error:
        log.warning("Clients are not sent to %s v%d yet: %s", live.model, live.version, error)
        return False
    if service.endpoint != live.service.endpoint:
        log.warning("%s answers at %s from now on.", live.model, service.endpoint)
        resources.ledger.record_service(live.id, service, now)
    return True


def _stop_replaced(resources: Resources, environment: Environment, now: dt.datetime) -> None:
    ledger = resources.ledger
    wanted = {r.service_name for r in ledger.deployments(resources.model, ["live"], environment)}
    for record in ledger.deployments(resources.model, ["stopping"], environment):
        kept = record.service_name in wanted  # taken back: another deployment's by now
        if record.service is not None and not kept:
            try:
                runtime_for(resources, record.service).remove(record.service, grace_s=GRACE_S)
            except Unavailable as error:
                log.warning("%s is stopped by a later run: %s", record.service_name, error)
                continue
        told = record.reason.startswith(ROLLED_BACK)
        why = record.reason if told else "a later version is live"
        ledger.finish_deployment(record.id, "stopped", why, (), now)


def _close_overtaken(resources: Resources, environment: Environment, now: dt.datetime) -> None:
    """An attempt begun before the live one, and never finished, will not be."""
    live = live_record(resources.ledger, resources.model, environment)
    for record in resources.ledger.deployments(resources.model, ["starting"], environment):
        if live is not None and record.id < live.id:
            resources.ledger.finish_deployment(
                record.id,
                "failed",
                f"overtaken by deployment {live.id}",
                (),
                now,
                run=resources.owner,
            )
