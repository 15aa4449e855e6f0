"""A growing share of the requests goes to the new version, as long as it is as good as the old one.

Both are asked what they count themselves (/metrics), each in its own place, and what came since
the step began is compared: requests and their statuses, latencies, and the predictions, whose
histogram is there at once, is of this very step, and has no prober's rows; the prediction log
would be exact, but comes a quarter of an hour later. A look takes as long as two scrapes.

A request that the new version refuses (4xx) is a failure here: an answer that is no number is
refused too, and what clients get wrong they get wrong with both versions alike.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from include.evergreen.adapters.runtime import PATIENCE_S
from include.evergreen.contracts import Deployment, Proposal, RunningService, Verification
from include.evergreen.errors import Unavailable
from include.evergreen.policy.rollout.canary import CanaryRules, Elapsed, decide_step
from include.evergreen.policy.rollout.evidence import Observed
from include.evergreen.policy.rollout.shift import binned_shift, label_shift
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.counters import Counters, read_counters
from include.evergreen.stages.release.rollout import Side, Stand
from include.evergreen.stages.release.switch import send_everything
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: A version that is silent so often in a row does not answer.
_TRIES, _TIMEOUT_S = 3, 2.0


@under_deployment_lease(PRODUCTION)
def raise_share(
    resources: Resources, proposal: Proposal, proven: Verification, *, clock: Clock = utc_now
) -> Deployment | None:
    """One look at the step that is under way: it goes on, ends, or the new version goes.

    None: not yet, look again. Repeated after a death it finds the step where it was.

    Raises:
        ReleaseAborted: the new version goes, and the champion answers every request.
        Unavailable: see `send_everything` and `abort`.
    """
    stand = rollout.stand_of(resources, proposal.version)
    if stand is None:
        shares = tuple(resources.spec.deployment.canary.steps)
        stand = Stand("canary", proven, clock().isoformat(), shares)
        why = f"canary: first {shares[0]:.3g} of the requests"
        rollout.advance(resources, proposal, stand, why, now=clock())
    return _Look(resources, proposal, stand, clock).take()


@dataclass
class _Seen:
    """What one version says of itself now; None where it is silent."""

    service: RunningService
    started: str
    counters: Counters | None

    def since(self, before: Side | None) -> Counters:
        """What it counted in this step; all of it where it was started again in between."""
        if self.counters is None or before is None:
            return Counters()
        if self.started != before.started:
            return self.counters
        return self.counters.since(before.counters)


@dataclass
class _Look:
    resources: Resources
    proposal: Proposal
    stand: Stand
    clock: Clock

    def take(self) -> Deployment | None:
        live = self.resources.ledger.deployment(self.resources.model, PRODUCTION)
        if self.stand.is_over or (live is not None and live.version == self.proposal.version):
            return self._everything()
        if live is None or live.version != self.proposal.replaces:
            self._abort(rollout.not_the_champion(self.proposal, live))
        service = self.stand.proven.service
        runtime = runtime_for(self.resources, service)
        if runtime.state(service) != "running":
            self._abort("it ended")
        way = runtime.way_to(service)
        try:
            champion, challenger = self._ask(live.service), self._ask(service)
            if challenger.counters is not None:
                self._divide(live.service, service)
        except Unavailable as error:
            log.warning("%s", error)
            champion = challenger = _Seen(service, "", None)
        if challenger.counters is None and champion.counters is not None:
            if runtime.way_to(service) == way:
                self._abort("it does not answer")
            log.warning("The gateway was started anew: nobody is to blame for silence.")
        return self._go_on(champion, challenger)

    def _go_on(self, champion: _Seen, challenger: _Seen) -> Deployment | None:
        stand, now = self.stand, self.clock()
        before = stand.challenger
        if before is None and challenger.counters is not None and champion.counters is not None:
            self.stand = replace(
                stand,
                since=now.isoformat(),
                champion=Side(champion.started, champion.counters),
                challenger=Side(challenger.started, challenger.counters),
            )
            rollout.renew(self.resources, self.proposal, self.stand, now=now)
            return None
        if before is not None and challenger.started not in {"", before.started}:
            self._abort("it ended, and was started again")
        return self._decide(champion.since(stand.champion), challenger.since(before), now)

    def _decide(self, old: Counters, new: Counters, now: dt.datetime) -> Deployment | None:
        stand, rules = self.stand, self.resources.spec.deployment.canary
        verdict = decide_step(
            _observed(old),
            _observed(new),
            _shift(old, new),
            CanaryRules(
                rules.min_requests,
                rules.max_error_increase,
                rules.max_p99_ratio,
                rules.max_prediction_shift,
                rules.deadline_s,
            ),
            Elapsed(
                _seconds(stand.since, now) if stand.since else 0.0,
                rules.window_s,
                _seconds(stand.began, now),
            ),
        )
        told = f"step {stand.step + 1} of {len(stand.shares)}"
        log.info("%s %s: %s: %s", self.resources.model, told, verdict.word, verdict.reason)
        evidence = {"champion": old.as_json(), "challenger": new.as_json()}
        if verdict.word == "abort":
            self._abort(f"{told}: {verdict.reason}", evidence)
        if verdict.word == "not_yet":
            rollout.renew(self.resources, self.proposal, stand, now=now)
            return None
        self.stand = Stand("canary", stand.proven, stand.began, stand.shares, stand.step + 1)
        share = "all" if self.stand.is_over else f"{stand.shares[stand.step + 1]:.3g}"
        why = f"canary: {share} of the requests after {told}: {verdict.reason}"
        rollout.advance(self.resources, self.proposal, self.stand, why, now=now, evidence=evidence)
        return self.take()

    def _everything(self) -> Deployment:
        return send_everything(self.resources, self.proposal, self.stand.proven, clock=self.clock)

    def _ask(self, service: RunningService) -> _Seen:
        """What a version has counted until now.

        Raises:
            Unavailable: there is no way to it.
        """
        runtime = runtime_for(self.resources, service)
        started = runtime.started_at(service)
        with ServiceProbe(runtime.reach(service)) as probe:
            pages = (probe.text("/metrics", timeout_s=_TIMEOUT_S) for _ in range(_TRIES))
            page = next((page for page in pages if page), "")
        counters = read_counters(page) if page else None
        return _Seen(service, started.isoformat() if started else "", counters)

    def _divide(self, old: RunningService, new: RunningService) -> None:
        share = self.stand.shares[self.stand.step]
        patience_s = max(PATIENCE_S, self.resources.spec.deployment.service_levels.p99_ms / 100)
        runtime_for(self.resources, new).split({old: 1 - share, new: share}, patience_s=patience_s)

    def _abort(self, why: str, evidence: dict[str, Any] | None = None) -> NoReturn:
        rollout.abort(
            self.resources, self.proposal, self.stand.proven.service, why,
            clock=self.clock, evidence=evidence,
        )  # fmt: skip


def _observed(seen: Counters) -> Observed:
    return Observed(seen.requests, seen.failures + seen.refusals, seen.p99_ms)


def _shift(old: Counters, new: Counters) -> float:
    if old.labels or new.labels:
        return label_shift(old.labels, new.labels)
    return binned_shift(old.predictions, new.predictions)


def _seconds(since: str, now: dt.datetime) -> float:
    return (now - dt.datetime.fromisoformat(since)).total_seconds()
