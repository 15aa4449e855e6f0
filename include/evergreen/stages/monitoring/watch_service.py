"""Asks the service that is live whether it answers, and whether it had to drop requests it served.

A service never answers slower because its request log is slow or its disk is full: it drops what
it cannot write, and counts it. Somebody has to be told, or drift is judged on what is left.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
from http import HTTPStatus

from include.evergreen.contracts import Deployment
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import ENVIRONMENT
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

STAGE = "service"


def watch_service(resources: Resources, *, now: dt.datetime) -> str | None:
    """What somebody should be told of the live service; None where all is well or was told before.

    It is told at each change (silent, dropping more than at the last look), and again at the 4th,
    16th, 64th look that finds the same: an alert may be lost. Each is a decision of the stage
    `service` in the ledger.
    """
    live = resources.ledger.deployment(resources.model, ENVIRONMENT)
    if live is None:
        return None
    verdict, reason = _look(live)
    before = next(
        (d for d in resources.ledger.decisions(resources.model) if d.stage == STAGE), None
    )
    if before is None and verdict == "well":
        return None
    resources.ledger.record_decision(
        resources.model, STAGE, verdict, reason, {"version": live.version}, now
    )
    if verdict == "well":
        return None
    log.warning("%s", reason)
    same = before is not None and (before.verdict, before.reason) == (verdict, reason)
    looks = before.count + 1 if same and before is not None else 1
    return reason if _is_power_of_four(looks) else None


def _is_power_of_four(number: int) -> bool:
    return number > 0 and math.log(number, 4).is_integer()


def _look(live: Deployment) -> tuple[str, str]:
    who = f"{live.model} v{live.version} at {live.service.endpoint}"
    with ServiceProbe(live.service.endpoint) as probe:
        status, stats = probe.get("/stats")
    if status != HTTPStatus.OK or not isinstance(stats, dict):
        said = f"status {status}" if status else "no answer"
        return "silent", (
            f"{who} does not answer ({said}). Run {live.model}.deploy: it starts it again."
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
