"""The proven candidate answers in its environment, the registry says so, and the earlier one has
ended, or is kept warm.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

from include.evergreen.adapters.ledger import DeploymentRecord
from include.evergreen.adapters.runtime import Environment
from include.evergreen.contracts import (
    Check,
    Deployment,
    JournalEntry,
    RunningService,
    Verification,
)
from include.evergreen.errors import LeaseLost, Unavailable, VerificationFailed
from include.evergreen.stages.deploy.deployment_lease import (
    deployment_lease,
    under_deployment_lease,
)
from include.evergreen.stages.deploy.fetch_bundle import forget_bundles
from include.evergreen.stages.deploy.services import PRODUCTION, STAGE_OF, STAGING, runtime_for
from include.evergreen.stages.deploy.settle import settle_deployments
from include.evergreen.stages.deploy.traffic import publish
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


@under_deployment_lease(STAGING)
def promote_to_staging(
    resources: Resources, verification: Verification, *, now: dt.datetime
) -> Deployment:
    """The candidate answers in staging, under the alias of that name; see `go_live`."""
    deployed = go_live(resources, STAGING, verification, now=now)
    forget_bundles(resources)
    return deployed


def go_live(
    resources: Resources,
    environment: Environment,
    verification: Verification,
    *,
    reason: str = "verified",
    replaced: Literal["stopping", "spare"] = "stopping",
    why_replaced: str = "",
    entry: JournalEntry | None = None,
    now: dt.datetime,
) -> Deployment:
    """Record the candidate as live, send its clients to it, move the alias, then stop what it
    replaced, or keep it as the spare.

    The ledger's record comes first: after a crash at any point the same call, or the next run's
    settling, finishes the rest. Only at an address where nothing answers is the candidate there
    before the ledger says so: nobody looks there earlier, and nobody finds nothing. Production does
    not wait for a registry that is away: its alias follows at the end of the watch, or by monitor.
    `entry` is told of this very deployment: its event gets the deployment's id.

    Raises:
        VerificationFailed: a check failed, or the candidate has ended since.
        LeaseLost: a later deployment is live, or this one was given up.
        Unavailable: clients cannot be sent to it now.
    """
    service = verification.service
    if not verification.passed:
        raise VerificationFailed(
            f"{verification.model} v{verification.version} did not pass its verification; only "
            "what passed is promoted."
        )
    with deployment_lease(resources, environment):
        live = resources.ledger.deployment(resources.model, environment)
        if live is None or live.service.service_id != service.service_id:
            number = _begun(resources, environment, verification)
            runtime_for(resources, service).keep(service)
            if live is None or not _at_one_address(live.service, service):  # nobody answers there
                publish(resources, environment, service)
            checks = [check.as_json() for check in verification.checks]
            resources.ledger.finish_deployment(
                number,
                "live",
                reason,
                checks,
                now,
                replaced=replaced,
                why_replaced=why_replaced,
                run=resources.owner,
                entry=entry and replace(entry, event=f"{entry.event}:{number}"),
            )
        settle_deployments(resources, environment, now=now, alias_may_lag=environment == PRODUCTION)
        return _answering(resources, environment, verification)


def _at_one_address(one: RunningService, other: RunningService) -> bool:
    """Over TLS or not: the door may have changed since one of them was recorded."""
    return urlsplit(one.endpoint).netloc == urlsplit(other.endpoint).netloc


def proven_by(record: DeploymentRecord, service: RunningService) -> Verification:
    """What a deployment has shown before it went live."""
    checks = tuple(Check(**check) for check in record.checks)
    return Verification(record.model, record.version, service, checks)


def _begun(resources: Resources, environment: Environment, verification: Verification) -> int:
    """The deployment under way whose running service this is.

    Raises:
        LeaseLost: there is none.
        VerificationFailed: the service has ended since it was verified.
    """
    service = verification.service
    stage = f"{verification.model}.{STAGE_OF[environment]}"
    again = f"{stage} by hand with version {verification.version}"
    begun = [
        record
        for record in resources.ledger.deployments(resources.model, ["starting"], environment)
        if record.service is not None and record.service.service_id == service.service_id
    ]
    if not begun:
        raise LeaseLost(
            f"No deployment of {verification.model} with the service {service.name} is under way: "
            f"it was promoted and replaced, or given up. Run {again}."
        )
    runtime = runtime_for(resources, service)
    if runtime.state(service) != "running":
        raise VerificationFailed(
            f"{service.name} passed its checks and has ended since; what answered before still "
            f"does. Its last log lines:\n{runtime.logs(service, lines=30)}\nRun {again}."
        )
    return begun[0].id


def _answering(
    resources: Resources, environment: Environment, verification: Verification
) -> Deployment:
    """What is live now, if it is what was verified and clients are sent to it."""
    deployed = resources.ledger.deployment(resources.model, environment)
    if deployed is None or deployed.version != verification.version:
        raise LeaseLost(
            f"{verification.model} v{verification.version} was live and no longer is: a later "
            "deployment took its place."
        )
    if not runtime_for(resources, deployed.service).is_published(deployed.service):
        raise Unavailable(
            f"{deployed.model} v{deployed.version} is live, and {deployed.service.endpoint} is not "
            "answered by it yet; what answered before still does. The log above says why; the next "
            "try goes on."
        )
    log.info(
        "%s v%d answers in %s at %s",
        *(deployed.model, deployed.version, environment, deployed.service.endpoint),
    )
    return deployed
