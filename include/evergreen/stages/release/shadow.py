"""The new version is asked what the champion was asked, and answers nobody.

Requests that production's champion answered since the shadow began are taken from the prediction
log in their order and asked again at the place of the new version alone, marked as a prober's: so
its answers are in no log and in no count of traffic. A request is compared with itself, row by row.
Its id may be its client's, and of many requests: they are told apart by it and by the moment of
the answer.

A look holds production's lease and is short; what it has compared is carried over to the next.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from dataclasses import replace

import polars as pl

from include.evergreen.contracts import Deployment, Proposal, Verification
from include.evergreen.errors import NotInLake
from include.evergreen.policy.rollout.evidence import Verdict
from include.evergreen.policy.rollout.shadow import Replayed, ShadowRules, Word, decide_shadow
from include.evergreen.stages.bundle import contract_of, raw_rows
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy import golden
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.monitoring.collect import collect_requests
from include.evergreen.stages.monitoring.request_log import served_in
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.beside import seconds_since
from include.evergreen.stages.release.stand import Stand
from include.evergreen.stages.release.switch import send_everything
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: Of one look: seconds of asking, and requests and rows that are read for it.
LOOK_S = 20.0
_MAX_REQUESTS, _MAX_ROWS = 2_000, 20_000


@under_deployment_lease(PRODUCTION)
def replay_requests(
    resources: Resources, proposal: Proposal, proven: Verification, *, clock: Clock = utc_now
) -> Deployment | None:
    """One look at the requests that were logged until now; None: not yet, look again.

    Raises:
        ReleaseAborted: the new version answers otherwise, fails, or was asked too little in time.
        Unavailable: there is no way to the new version now; or see `send_everything`.
    """
    first = Stand("shadow", proven, clock().isoformat(), (0.0,))
    stand = rollout.begun(resources, proposal, first, "shadow: logged requests", now=clock())
    service = stand.proven.service
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    if stand.is_over or rollout.is_live(live, proposal):
        return send_everything(resources, proposal, stand.proven, clock=clock)
    if live is None or live.version != proposal.replaces:
        why = rollout.not_the_champion(proposal, live)
        rollout.abort(resources, proposal, service, why, clock=clock)
    if runtime_for(resources, service).state(service) != "running":
        rollout.abort(resources, proposal, service, "it ended", clock=clock)
    collect_requests(resources, now=clock())
    read = str(resources.lake.version(resources.model, "requests"))
    elapsed_s = seconds_since(stand.began, clock())
    in_time = elapsed_s < resources.spec.deployment.shadow.deadline_s
    if read == stand.read and in_time:
        rollout.renew(resources, proposal, stand, now=clock())
        return None
    logged = _logged(resources, proposal, stand) if in_time else []
    replayed, verdict = _ask_again(resources, stand, logged, elapsed_s)
    log.info("%s: shadow: %s: %s", resources.model, verdict.word, verdict.reason)
    if verdict.word == "fail":
        rollout.abort(resources, proposal, service, f"shadow: {verdict.reason}", clock=clock)
    stand = replace(stand, read="" if logged else read, replayed=replayed)
    if verdict.word == "not_yet":
        rollout.renew(resources, proposal, stand, now=clock())
        return None
    stand = replace(stand, step=1)
    rollout.advance(resources, proposal, stand, f"shadow: {verdict.reason}", now=clock())
    return send_everything(resources, proposal, stand.proven, clock=clock)


def _logged(resources: Resources, proposal: Proposal, stand: Stand) -> list[pl.DataFrame]:
    """The rows of each request that is next, oldest first: of a look's size, at least one."""
    try:
        served = served_in(resources, PRODUCTION)
    except NotInLake:
        return []
    answered = pl.col("time")
    after = answered >= dt.datetime.fromisoformat(stand.began)
    if stand.replayed.until:
        after = answered > dt.datetime.fromisoformat(stand.replayed.until)
    rows = served.filter(pl.col("version") == proposal.replaces, after)
    rows = rows.filter(pl.col("prediction").is_not_null())
    sizes = rows.group_by("time", "request_id").len().sort("time").head(_MAX_REQUESTS).collect()
    if sizes.is_empty():
        return []
    taken = sizes.filter(pl.col("len").cum_sum() - pl.col("len") < _MAX_ROWS)
    found = rows.filter(answered <= taken["time"].max()).collect()
    found = found.sort("time", maintain_order=True)
    return found.partition_by("time", "request_id", maintain_order=True)


def _ask_again(
    resources: Resources, stand: Stand, logged: list[pl.DataFrame], elapsed_s: float
) -> tuple[Replayed, Verdict[Word]]:
    """What was compared with these requests, until there is a verdict or the look is over.

    Raises:
        Unavailable: there is no way to the new version.
    """
    contract, service, replayed = contract_of(resources.spec), stand.proven.service, stand.replayed
    verdict, began = _decide(resources, replayed, elapsed_s), time.monotonic()
    if not logged:
        return replayed, verdict
    runtime = runtime_for(resources, service)
    way = runtime.way_to(service)
    with ServiceProbe(runtime.reach(service)) as probe:
        for request in logged:
            until = request["time"][0].isoformat()
            said = golden.served(probe, raw_rows(request, contract)).get("prediction", [])
            if _is_answer(resources, said, request.height):
                replayed = replayed.answered(until, request["prediction"].to_list(), said)
            elif runtime.way_to(service) == way:
                replayed = replayed.failed(until)
            else:
                log.warning("The gateway was started anew: nobody is to blame for silence.")
                break
            verdict = _decide(resources, replayed, elapsed_s)
            if verdict.word != "not_yet" or time.monotonic() - began > LOOK_S:
                break
    return replayed, verdict


def _is_answer(resources: Resources, said: list[object], rows: int) -> bool:
    if resources.spec.task != "regression":
        return len(said) == rows
    numbers = [value for value in said if isinstance(value, int | float) and math.isfinite(value)]
    return len(said) == len(numbers) == rows


def _decide(resources: Resources, replayed: Replayed, elapsed_s: float) -> Verdict[Word]:
    knobs = resources.spec.deployment.shadow
    rules = ShadowRules(
        knobs.min_requests, knobs.max_difference, knobs.max_error_share, knobs.deadline_s
    )
    pairs = replayed.pairs(regression=resources.spec.task == "regression")
    return decide_shadow(pairs, rules, elapsed_s=elapsed_s)
