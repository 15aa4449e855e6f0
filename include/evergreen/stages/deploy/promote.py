"""The proven candidate answers in staging, the registry says so, and the earlier one has ended."""

from __future__ import annotations

import datetime as dt
import logging

from include.evergreen.contracts import Deployment, RunningService, Verification
from include.evergreen.errors import LeaseLost, Unavailable, VerificationFailed
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.fetch_bundle import forget_bundles
from include.evergreen.stages.deploy.services import ENVIRONMENT, runtime_for
from include.evergreen.stages.deploy.settle import publish, settle_deployments
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


@under_deployment_lease
def promote_to_staging(
    resources: Resources, verification: Verification, *, now: dt.datetime
) -> Deployment:
    """Record the candidate as live, send its clients to it, move the aliases, then stop what it
    replaced.

    The ledger's record comes first: after a crash at any point the same call, or the next run's
    settling, finishes the rest. Only at an address where nothing answers is the candidate there
    before the ledger says so: nobody looks there earlier, and nobody finds nothing.

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
    live = resources.ledger.deployment(resources.model, ENVIRONMENT)
    if live is None or live.service.service_id != service.service_id:
        nobodys = live is None or live.service.endpoint != service.endpoint
        _make_live(resources, verification, service, now, publish_first=nobodys)
    settle_deployments(resources, now=now)
    forget_bundles(resources)
    deployed = resources.ledger.deployment(resources.model, ENVIRONMENT)
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
    log.info("%s v%d answers at %s", deployed.model, deployed.version, deployed.service.endpoint)
    return deployed


def _make_live(
    resources: Resources,
    verification: Verification,
    service: RunningService,
    now: dt.datetime,
    *,
    publish_first: bool,
) -> None:
    runtime = runtime_for(resources, service)
    begun = [
        record
        for record in resources.ledger.deployments(resources.model, ["starting"])
        if record.service is not None and record.service.service_id == service.service_id
    ]
    if not begun:
        raise LeaseLost(
            f"No deployment of {verification.model} with the service {service.name} is under way: "
            f"it was promoted and replaced, or given up. Run {verification.model}.deploy again."
        )
    if runtime.state(service) != "running":
        raise VerificationFailed(
            f"{service.name} passed its checks and has ended since; what answered before still "
            f"does. Its last log lines:\n{runtime.logs(service, lines=30)}\n"
            f"Run {verification.model}.deploy again."
        )
    runtime.keep(service)
    if publish_first:
        publish(resources, service)
    checks = [check.as_json() for check in verification.checks]
    resources.ledger.finish_deployment(
        begun[0].id, "live", "verified", checks, now, run=resources.owner
    )
