"""The new version is asked what the champion was asked last, and answers nobody.

The champion's newest requests are taken from the prediction log and asked again at the place of
the new version alone, marked as a prober's: so its answers are in no log and in no count of
traffic. A request is compared with itself, row by row, by its `request_id`.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import polars as pl

from include.evergreen.contracts import Deployment, Proposal, Verification
from include.evergreen.errors import NotInLake
from include.evergreen.policy.rollout.evidence import Observed, Verdict
from include.evergreen.policy.rollout.shadow import Pairs, ShadowRules, Word, decide_shadow
from include.evergreen.stages.bundle import contract_of, raw_rows
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy import golden
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.monitoring.collect import collect_requests
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.beside import seconds_since
from include.evergreen.stages.release.stand import Stand, stand_of
from include.evergreen.stages.release.switch import send_everything
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: Requests asked again in a look, as a multiple of those that are needed, and rows in all.
_TIMES, _MAX_ROWS = 2, 20_000


@under_deployment_lease(PRODUCTION)
def replay_requests(
    resources: Resources, proposal: Proposal, proven: Verification, *, clock: Clock = utc_now
) -> Deployment | None:
    """One look at the requests that were logged until now; None: not yet, look again.

    Raises:
        ReleaseAborted: the new version answers otherwise, fails, or was asked too little in time.
        Unavailable: there is no way to the new version now; or see `send_everything`.
    """
    stand = stand_of(resources, proposal.version)
    if stand is None:
        stand = Stand("shadow", proven, clock().isoformat(), (0.0,))
        rollout.advance(resources, proposal, stand, "shadow: logged requests", now=clock())
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
    if read == stand.read and elapsed_s < resources.spec.deployment.shadow.deadline_s:
        rollout.renew(resources, proposal, stand, now=clock())
        return None
    verdict = _decide(resources, proposal, stand, elapsed_s)
    log.info("%s: shadow: %s: %s", resources.model, verdict.word, verdict.reason)
    if verdict.word == "fail":
        rollout.abort(resources, proposal, service, f"shadow: {verdict.reason}", clock=clock)
    if verdict.word == "not_yet":
        rollout.renew(resources, proposal, replace(stand, read=read), now=clock())
        return None
    stand = replace(stand, step=1)
    rollout.advance(resources, proposal, stand, f"shadow: {verdict.reason}", now=clock())
    return send_everything(resources, proposal, stand.proven, clock=clock)


def _decide(
    resources: Resources, proposal: Proposal, stand: Stand, elapsed_s: float
) -> Verdict[Word]:
    knobs = resources.spec.deployment.shadow
    rules = ShadowRules(
        knobs.min_requests, knobs.max_difference, knobs.max_error_share, knobs.deadline_s
    )
    logged = newest_requests(resources, proposal.replaces or 0, _TIMES * knobs.min_requests)
    pairs = Pairs(Observed(0, 0), None)
    if len(logged) >= knobs.min_requests:
        pairs = ask_again(resources, stand.proven, logged)
    return decide_shadow(pairs, rules, elapsed_s=elapsed_s)


def newest_requests(resources: Resources, version: int, most: int) -> list[pl.DataFrame]:
    """The rows of each request that a version answered last, in the order of the log."""
    try:
        served = resources.lake.scan(resources.model, "requests")
    except NotInLake:
        return []
    rows = served.filter(pl.col("version") == version).sort("time", maintain_order=True)
    newest = rows.tail(_MAX_ROWS).collect()
    return newest.partition_by("request_id", maintain_order=True)[-most:]


def ask_again(resources: Resources, proven: Verification, logged: list[pl.DataFrame]) -> Pairs:
    """The same requests, asked of the new version alone, against the answers in the log.

    Raises:
        Unavailable: there is no way to it.
    """
    contract, service = contract_of(resources.spec), proven.service
    old: list[object] = []
    new: list[object] = []
    failures = 0
    with ServiceProbe(runtime_for(resources, service).reach(service)) as probe:
        for request in logged:
            answer = golden.served(probe, raw_rows(request, contract)).get("prediction", [])
            if len(answer) != request.height:
                failures += 1
                continue
            old += request["prediction"].to_list()
            new += answer
    difference = _difference(old, new, regression=resources.spec.task == "regression")
    return Pairs(Observed(len(logged), failures), difference)


def _difference(old: list[object], new: list[object], *, regression: bool) -> float | None:
    if not old:
        return None
    if not regression:
        return sum(str(a) != str(b) for a, b in zip(old, new, strict=True)) / len(old)
    frame = pl.DataFrame({"old": old, "new": new}, schema={"old": pl.Float64, "new": pl.Float64})
    mean = (frame["old"] - frame["new"]).abs().mean()
    deviation = frame["old"].std(ddof=0)
    if not isinstance(mean, float) or not isinstance(deviation, float):
        return None
    if deviation == 0:
        return 0.0 if mean == 0 else math.inf
    return mean / deviation
