"""Two versions answer clients side by side: whose turn it is, and what each counts meanwhile.

Both are asked what they count themselves (/metrics), each in its own place. A look takes as long
as two scrapes. One that ends, falls silent or is started again loses; where nobody can be asked
for another reason, it is not yet.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from include.evergreen.contracts import Deployment, Proposal, RunningService
from include.evergreen.errors import Unavailable
from include.evergreen.policy.rollout.evidence import Observed
from include.evergreen.stages.clock import Clock
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.deploy.traffic import divide
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.counters import Counters, counters_of
from include.evergreen.stages.release.stand import Side, Stand
from include.evergreen.stages.release.switch import send_everything
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


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
class Look:
    """One look at two versions that share the requests of clients."""

    resources: Resources
    proposal: Proposal
    stand: Stand
    clock: Clock
    sticky: bool = False

    def take(self) -> Deployment | None:
        """What answers in the end; None: not yet, look again."""
        live = self.resources.ledger.deployment(self.resources.model, PRODUCTION)
        if self.stand.is_over or rollout.is_live(live, self.proposal):
            return self._everything()
        if live is None or live.version != self.proposal.replaces:
            self.abort(rollout.not_the_champion(self.proposal, live))
        service = self.stand.proven.service
        try:
            champion, challenger = self._ask_both(live.service, service)
        except Unavailable as error:
            log.warning("%s", error)
            champion = challenger = _Seen(service, "", None)
        return self._go_on(champion, challenger)

    def _ask_both(self, old: RunningService, new: RunningService) -> tuple[_Seen, _Seen]:
        """Champion and challenger, between whom requests are divided from now on.

        Raises:
            Unavailable: nobody can be asked now.
        """
        runtime = runtime_for(self.resources, new)
        if runtime.state(new) != "running":
            self.abort("it ended")
        way = runtime.way_to(new)
        champion, challenger = self._ask(old), self._ask(new)
        if challenger.counters is not None:
            self._divide(old, new)
        elif champion.counters is not None:
            if runtime.way_to(new) == way:
                self.abort("it does not answer")
            log.warning("The gateway was started anew: nobody is to blame for silence.")
        return champion, challenger

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
            self.abort("it ended, and was started again")
        return self.decide(champion.since(stand.champion), challenger.since(before), now)

    def decide(self, old: Counters, new: Counters, now: dt.datetime) -> Deployment | None:
        """What this look comes to: `old` and `new` are what was counted in this step."""
        raise NotImplementedError

    def next_step(
        self, why: str, *, now: dt.datetime, evidence: dict[str, Any] | None = None
    ) -> Deployment | None:
        """The next step begins; after the last one every request is sent."""
        stand = self.stand
        self.stand = Stand(stand.strategy, stand.proven, stand.began, stand.shares, stand.step + 1)
        rollout.advance(self.resources, self.proposal, self.stand, why, now=now, evidence=evidence)
        return self.take()

    def _everything(self) -> Deployment:
        return send_everything(self.resources, self.proposal, self.stand.proven, clock=self.clock)

    def _ask(self, service: RunningService) -> _Seen:
        """What a version has counted until now.

        Raises:
            Unavailable: there is no way to it.
        """
        started = runtime_for(self.resources, service).started_at(service)
        counters = counters_of(self.resources, service)
        return _Seen(service, started.isoformat() if started else "", counters)

    def _divide(self, old: RunningService, new: RunningService) -> None:
        share = self.stand.shares[self.stand.step]
        divide(self.resources, {old: 1 - share, new: share}, sticky=self.sticky)

    def abort(self, why: str, evidence: dict[str, Any] | None = None) -> NoReturn:
        rollout.abort(
            self.resources, self.proposal, self.stand.proven.service, why,
            clock=self.clock, evidence=evidence,
        )  # fmt: skip


def observed(seen: Counters) -> Observed:
    """Answers of 5xx are failures. A refusal (4xx) says as much of its client as of the version."""
    return Observed(seen.requests, seen.failures, seen.p99_ms)


def seconds_since(then: str, now: dt.datetime) -> float:
    return (now - dt.datetime.fromisoformat(then)).total_seconds()
