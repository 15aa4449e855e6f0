"""Ledger, registry and engine agree after any crash: the ledger is right, the rest follows."""

from __future__ import annotations

import datetime as dt
import logging

from include.evergreen.contracts import Deployment, RunningService
from include.evergreen.errors import ArtifactRefused, LeaseLost, Unavailable
from include.evergreen.fencing import making_good
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.services import ENVIRONMENT, GRACE_S, order_for, runtime_for
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: Names under which the registry knows what answers in staging. A spec has no production
#: environment yet, so what is proven in staging is the champion.
ALIASES = ("staging", "champion")


@under_deployment_lease
def settle_deployments(resources: Resources, *, now: dt.datetime) -> None:
    """Finish what an interrupted run began; a no-op where nothing was interrupted.

    The live service runs and clients are sent to it, the aliases point at its version, those it
    replaced are stopped and removed, attempts begun before it are closed, and what the journal has
    is anchored. Clients come first: they do not wait for a registry that is away.
    """
    live = resources.ledger.deployment(resources.model, ENVIRONMENT)
    published = live is None
    if live is not None:
        _restart(resources, live, now)
        published = _publish_live(resources, now)
        _point_aliases(resources, live.version)
    if published:
        _stop_replaced(resources, now)
    _close_overtaken(resources, now)
    anchor_entries(resources, resources.model, now=now)


def remove_orphans(resources: Resources, *, keep: str) -> None:
    """Remove services of this model that are neither live nor named `keep`: a crash left them.

    One that was replaced is not touched: it may be the one that clients are still sent to.
    """
    live = resources.ledger.deployment(resources.model, ENVIRONMENT)
    replaced = resources.ledger.deployments(resources.model, ["stopping"])
    wanted = {keep, *(record.service_name for record in replaced)}
    wanted |= {live.service.name} if live else set()
    for service in resources.runtime.find(resources.model, ENVIRONMENT):
        if service.name not in wanted:
            log.warning("Removing %s: it was left behind by an interrupted run.", service.name)
            resources.runtime.remove(service, grace_s=GRACE_S)


def _point_aliases(resources: Resources, version: int) -> None:
    try:
        resources.registry.version_info(resources.model, version)
    except ArtifactRefused as error:
        log.warning(
            "%s v%d answers, but no alias can point at it: %s", resources.model, version, error
        )
        return
    for alias in ALIASES:
        if _pointed_at(resources, alias) != version:
            resources.registry.set_alias(resources.model, alias, version)
            log.info("Alias %s of %s now points at v%d.", alias, resources.model, version)


def _pointed_at(resources: Resources, alias: str) -> int | None:
    try:
        return resources.registry.version_of(resources.model, alias)
    except ArtifactRefused as error:
        log.warning("%s", error)
        return None


def _restart(resources: Resources, live: Deployment, now: dt.datetime) -> None:
    """Start the live service again if the machine or its process went down."""
    image = resources.ledger.image(live.model, live.version, live.service.runtime)
    before = _live_record(resources)
    try:
        runtime = runtime_for(resources, live.service)
        if image is None or runtime.state(live.service) == "running":
            return
        if not runtime.has(image):
            log.error(
                "%s v%d is live in the ledger but neither its service nor its image %s is there: "
                "run %s.deploy by hand with version %d.",
                *(live.model, live.version, image.reference, live.model, live.version),
            )
            return
        service = runtime.start(order_for(resources, image))
        runtime.keep(service)
    except Unavailable as error:
        log.warning("%s v%d cannot be looked after now: %s", live.model, live.version, error)
        return
    log.warning(
        "%s v%d had stopped; it was started again at %s.",
        live.model,
        live.version,
        service.endpoint,
    )
    if before is None or _live_record(resources) != before:
        log.warning("Another version went live meanwhile: %s is removed again.", service.name)
        runtime.remove(service, grace_s=GRACE_S)
        return
    resources.ledger.record_service(before, service, now)


def publish(resources: Resources, service: RunningService) -> RunningService:
    """Send clients to a service; who finds that its lease was over sends them to what is live.

    Raises:
        Unavailable: they cannot be sent to it now.
        LeaseLost: another run has taken over.
    """
    try:
        return runtime_for(resources, service).publish(service)
    except LeaseLost:
        with making_good():
            live = resources.ledger.deployment(resources.model, ENVIRONMENT)
            if live is not None:
                runtime_for(resources, live.service).publish(live.service)
        raise


def _publish_live(resources: Resources, now: dt.datetime) -> bool:
    """Send clients to what is live; False where that cannot be: who answered before still does."""
    record = _live_record(resources)
    live = resources.ledger.deployment(resources.model, ENVIRONMENT)
    if record is None or live is None:
        return False
    try:
        service = publish(resources, live.service)
    except Unavailable as error:
        log.warning("Clients are not sent to %s v%d yet: %s", live.model, live.version, error)
        return False
    if service.endpoint != live.service.endpoint:
        log.warning("%s answers at %s from now on.", live.model, service.endpoint)
        resources.ledger.record_service(record, service, now)
    return True


def _live_record(resources: Resources) -> int | None:
    """The id of the deployment that is live now."""
    records = resources.ledger.deployments(resources.model, ["live"])
    return records[0].id if records else None


def _stop_replaced(resources: Resources, now: dt.datetime) -> None:
    live = resources.ledger.deployment(resources.model, ENVIRONMENT)
    for record in resources.ledger.deployments(resources.model, ["stopping"]):
        kept = live is not None and record.service_name == live.service.name
        if record.service is not None and not kept:
            try:
                runtime_for(resources, record.service).remove(record.service, grace_s=GRACE_S)
            except Unavailable as error:
                log.warning("%s is stopped by a later run: %s", record.service_name, error)
                continue
        resources.ledger.finish_deployment(record.id, "stopped", "a later version is live", (), now)


def _close_overtaken(resources: Resources, now: dt.datetime) -> None:
    """An attempt begun before the live one, and never finished, will not be."""
    live = resources.ledger.deployments(resources.model, ["live"])
    for record in resources.ledger.deployments(resources.model, ["starting"]):
        if live and record.id < live[0].id:
            resources.ledger.finish_deployment(
                record.id,
                "failed",
                f"overtaken by deployment {live[0].id}",
                (),
                now,
                run=resources.owner,
            )
