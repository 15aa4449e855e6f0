"""Asks the services that are live whether they answer, and whether they had to drop requests.

One that is silent is started again, in production first. A service never answers slower because its
request log is slow or its disk is full: it drops what it cannot write, and counts it. Somebody has
to be told, or drift is judged on what is left.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from http import HTTPStatus

from include.evergreen.adapters.runtime import Environment
from include.evergreen.contracts import Deployment
from include.evergreen.errors import Busy, EvergreenError, Unavailable
from include.evergreen.stages.deploy.deployment_lease import deployment_lease
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import STAGE_OF, runtime_for
from include.evergreen.stages.deploy.settle import alias_lags, settle_deployments
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: Under which stage the ledger keeps what was seen of the service in each environment.
STAGES: dict[Environment, str] = {"production": "service", "staging": "staging_service"}


def watch_service(resources: Resources, *, now: dt.datetime) -> str | None:
    """What somebody should be told of the live services; None where all is well or was told before.

    It is told at each change (silent, dropping more than at the last look), and again at the 4th,
    16th, 64th look that finds the same: an alert may be lost. Each is a decision in the ledger.
    """
    told = (_watch(resources, environment, now) for environment in STAGES)
    return "\n".join(text for text in told if text) or None


def _watch(resources: Resources, environment: Environment, now: dt.datetime) -> str:
    try:
        with deployment_lease(resources, environment, wait=False):
            live = resources.ledger.deployment(resources.model, environment)
            seen = _look(resources, live) if live is not None else None
            if live is not None and seen is not None and seen[0] != "silent":
                _move_alias(resources, live, now)
    except Busy as busy:
        log.info("%s in %s is looked at next time: %s", resources.model, environment, busy)
        return ""
    if live is None or seen is None:
        return ""
    verdict, reason = seen
    if verdict == "silent" and (again := _start_again(resources, live, now)) is not None:
        verdict, reason = again
    before = resources.ledger.last_decision(resources.model, STAGES[environment])
    if before is None and verdict == "well":
        return ""
    resources.ledger.record_decision(
        resources.model, STAGES[environment], verdict, reason, {"version": live.version}, now
    )
    if verdict == "well":
        return ""
    log.warning("%s", reason)
    same = before is not None and (before.verdict, before.reason) == (verdict, reason)
    looks = before.count + 1 if same and before is not None else 1
    return reason if _is_power_of_four(looks) else ""


def _move_alias(resources: Resources, live: Deployment, now: dt.datetime) -> None:
    """The registry was away when this version went live: its alias follows now."""
    try:
        if alias_lags(resources, live):
            settle_deployments(resources, live.environment, now=now)
    except Unavailable as error:
        log.warning("The aliases of %s are looked at next time: %s", live.model, error)


def _start_again(
    resources: Resources, live: Deployment, now: dt.datetime
) -> tuple[str, str] | None:
    """What is to be said of a service that was silent and answers again; None if it does not."""
    if resources.ledger.image(live.model, live.version, live.service.runtime) is None:
        return None
    try:
        with deployment_lease(resources, live.environment, wait=False):
            settle_deployments(resources, live.environment, now=now)
            settled = resources.ledger.deployment(live.model, live.environment)
            if settled is None or _look(resources, settled)[0] == "silent":
                return None
    except EvergreenError as error:  # said by the look that finds it silent again
        log.warning("v%d in %s is not started again: %s", live.version, live.environment, error)
        return None
    where = f"{live.model} v{settled.version} in {live.environment}"
    return "started", f"{where} did not answer; it was started again, and does."


def _is_power_of_four(number: int) -> bool:
    return number > 0 and math.log(number, 4).is_integer()


def _look(resources: Resources, live: Deployment) -> tuple[str, str]:
    """What this very service says, whoever else its clients may be sent to; under the lease."""
    who = f"{live.model} v{live.version} in {live.environment} at {live.service.endpoint}"
    try:
        address = runtime_for(resources, live.service).reach(live.service)
    except Unavailable as error:
        log.warning("%s", error)
        status, stats = 0, None
    else:
        with ServiceProbe(address) as probe:
            status, stats = probe.get("/stats")
    if status != HTTPStatus.OK or not isinstance(stats, dict):
        said = f"status {status}" if status else "no answer"
        return "silent", (
            f"{who} does not answer ({said}). Run {live.model}.{STAGE_OF[live.environment]}: it "
            "starts it again."
        )
    spool = stats.get("spool") or {}
    dropped = int(spool.get("rows_dropped", 0))
    if dropped:
        why = spool.get("last_error") or "they came faster than they could be written"
        return "dropping", (
            f"{who} answers, but {dropped:,} rows that it served are missing from its request log: "
            f"{why}. See that {live.service.name}'s spool has room; drift is judged on the rest."
        )
    return "well", f"{who} answers and its request log is whole"
