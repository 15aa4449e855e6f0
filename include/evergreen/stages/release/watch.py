"""The new version keeps its service levels for as long as the spec says, or the one before is back.

The service itself is asked, whoever clients are sent to. No lease is held meanwhile, so that
somebody who rolls back by hand need not wait; what the watch does in the end, it does under the
lease, and only if the version is still the one that answers.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
from dataclasses import dataclass, field
from typing import Any

from include.evergreen.adapters.ledger import Decision
from include.evergreen.adapters.runtime import Runtime
from include.evergreen.contracts import Deployment, Proposal
from include.evergreen.errors import Busy, ReleaseRolledBack, Unavailable
from include.evergreen.policy.releasing import SLACK
from include.evergreen.policy.releasing import Word as Said
from include.evergreen.policy.rollout.evidence import Observed, Verdict
from include.evergreen.policy.rollout.watch import Probes, WatchRules, Word, decide_watch
from include.evergreen.policy.verification import check_predictions
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy import golden
from include.evergreen.stages.deploy.build import recorded_candidate
from include.evergreen.stages.deploy.deployment_lease import deployment_lease
from include.evergreen.stages.deploy.fetch_bundle import fetch_bundle, forget_bundles
from include.evergreen.stages.deploy.records import last_live
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.deploy.settle import ROLLED_BACK, settle_deployments
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.counters import COUNTERS, STARTED, Counters, read_counters
from include.evergreen.stages.release.journal import journal, say_of
from include.evergreen.stages.release.undo import undo_release
from include.evergreen.stages.release.words import PROPOSAL, why_of, words
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: A longer watch is looked at again and again, so that it holds no worker for a week.
SLICE_S = 120.0
_POLL_S, _GOLDEN_S, _PING_TIMEOUT_S = 0.5, 5.0, 2.0
_WRONG_LOOKS = 2  # one may be of a moment in which the machine was out of breath
_OK = 200


def watch_release(
    resources: Resources, proposal: Proposal, *, clock: Clock = utc_now, slice_s: float = SLICE_S
) -> Deployment | None:
    """The version has kept its service levels for the whole watch, and the spare is gone.

    None: the watch is not over, call again; where it stands is in the ledger. A watch that nobody
    goes on with wakes release after a slice and `SLACK`.

    Raises:
        ReleaseRolledBack: it broke them, and the version before answers again; or somebody rolled
            it back meanwhile.
    """
    began = time.monotonic()
    look = None
    while True:
        live = resources.ledger.deployment(resources.model, PRODUCTION)
        if live is None or not rollout.is_live(live, proposal):
            raise ReleaseRolledBack(_why_gone(resources, proposal, live))
        if look is None:
            if _said(resources, proposal, "released") is not None:
                settle_deployments(resources, PRODUCTION, now=clock())
                return live
            look = _Look(resources, live, *_before(resources, proposal))
            _renew(resources, proposal, clock(), at_it_for=dt.timedelta(seconds=slice_s))
        was_asked = look.again()
        seconds = (clock() - dt.datetime.fromisoformat(live.deployed_at)).total_seconds()
        verdict = look.judged(elapsed_s=seconds)
        if look.broken or verdict.word == "roll_back":
            broken = look.broken or verdict.reason
            undo_release(resources, proposal, broken, by="watch", clock=clock)
        if verdict.word == "passed" and was_asked and not look.wrong_looks:
            return _conclude(resources, proposal, verdict.reason, clock)
        if time.monotonic() - began > slice_s:
            _renew(resources, proposal, clock())
            return None
        time.sleep(_POLL_S)


def _said(resources: Resources, proposal: Proposal, wanted: Said) -> Decision | None:
    """A word on this very proposal; None where it was not said."""
    for word, decision in words(resources.ledger, proposal.model):
        if word == wanted and decision.details.get(PROPOSAL) == proposal.as_json():
            return decision
    return None


def _before(resources: Resources, proposal: Proposal) -> tuple[Counters, str]:
    """What the service had counted before it was sent its first request, and since when it ran."""
    said = _said(resources, proposal, "releasing")
    details = said.details if said is not None else {}
    return Counters.from_json(details.get(COUNTERS, {})), details.get(STARTED, "")


def _renew(
    resources: Resources,
    proposal: Proposal,
    now: dt.datetime,
    *,
    at_it_for: dt.timedelta = dt.timedelta(),
) -> None:
    """The watch is looked after for that long, and `SLACK`."""
    said = _said(resources, proposal, "releasing")
    if said is not None:
        kept = {key: said.details[key] for key in (COUNTERS, STARTED) if key in said.details}
        say_of(
            resources, "releasing", proposal, why_of(said),
            now=now, until=now + at_it_for + SLACK, details=kept,
        )  # fmt: skip


def _why_gone(resources: Resources, proposal: Proposal, live: Deployment | None) -> str:
    """In words: the version that is watched does not answer in production any more."""
    answers = f"{f'v{live.version}' if live else 'nothing'} answers there now"
    record = last_live(resources.ledger, resources.model, PRODUCTION, proposal.version)
    if record is not None and record.reason.startswith(ROLLED_BACK):
        return f"{proposal.model} v{proposal.version} was {record.reason}; {answers}."
    return (
        f"{proposal.model} v{proposal.version} was taken out of production during its watch; "
        f"{answers}."
    )


@dataclass
class _Look:
    """What was seen of one service, look by look. `broken`: what no number of requests excuses."""

    resources: Resources
    live: Deployment
    baseline: Counters
    started: str
    probes: Probes = field(default_factory=lambda: Probes(0, 0))
    seen: Counters = field(default_factory=Counters)
    wrong_looks: int = 0
    broken: str = ""
    _address: str = ""
    _way: str = ""
    _golden: tuple[list[dict[str, Any]], golden.Predictions] | None = None
    _golden_at: float = -math.inf

    def judged(self, *, elapsed_s: float) -> Verdict[Word]:
        """The word on what was seen so far."""
        deployment, seen = self.resources.spec.deployment, self.seen
        limit_ms = deployment.watch.max_p99_ms or deployment.service_levels.p99_ms
        rules = WatchRules(deployment.watch.seconds, deployment.watch.max_error_share, limit_ms)
        observed = Observed(seen.requests, seen.failures, seen.p99_ms)
        slow = seen.slower_than(limit_ms)
        return decide_watch(observed, self.probes, rules, elapsed_s=elapsed_s, slow=slow)

    def again(self) -> bool:
        """One more look at it; False where it cannot be asked, which is no word against it."""
        runtime = runtime_for(self.resources, self.live.service)
        try:
            self.broken = self._ended(runtime)
            if self.broken:
                return True
            if not self._address or runtime.way_to(self.live.service) != self._way:
                self._reach(runtime)
            # While its spare answers in its stead no client notices, and no counter of its own.
            answers = self._ask() and not runtime.is_silent(self.live.service)
            way = self._way
            if not answers:
                self._reach(runtime)  # under the lease: the gateway is not being started anew
            if self._way != way:
                return False
        except (Unavailable, Busy) as error:
            log.warning("%s", error)
            return False
        failed = 0 if answers else self.probes.failed_in_a_row + 1
        self.probes = Probes(self.probes.asked + 1, failed)
        return True

    def _ended(self, runtime: Runtime) -> str:
        """How it ended since the release began, whoever started it again; empty if it did not."""
        started = runtime.started_at(self.live.service)
        if runtime.state(self.live.service) != "running":
            return "it ended"
        since = started.isoformat() if started else ""
        self.started = self.started or since
        return "" if since == self.started else "it ended, and was started again"

    def _ask(self) -> bool:
        """Whether it answers; if so, what it has counted is read, and its golden rows are asked."""
        with ServiceProbe(self._address) as probe:
            if probe.get("/ping", timeout_s=_PING_TIMEOUT_S)[0] != _OK:
                return False
            self.seen = read_counters(probe.text("/metrics")).since(self.baseline)
            if self.wrong_looks or time.monotonic() - self._golden_at >= _GOLDEN_S:
                self._ask_golden_rows(probe)
        return True

    def _reach(self, runtime: Runtime) -> None:
        """The way to this very service; that of a gateway that was started anew is another."""
        with deployment_lease(self.resources, PRODUCTION):
            self._address = runtime.reach(self.live.service)
            self._way = runtime.way_to(self.live.service)

    def _ask_golden_rows(self, probe: ServiceProbe) -> None:
        self._golden_at = time.monotonic()
        if self._golden is None:
            self._golden = self._recorded()
        rows, offline = self._golden
        tolerance = self.resources.spec.deployment.tolerance
        check = check_predictions("golden_rows", golden.served(probe, rows), offline, tolerance)
        self.wrong_looks = 0 if check.passed else self.wrong_looks + 1
        if self.wrong_looks >= _WRONG_LOOKS:
            self.broken = f"its golden rows are answered otherwise than offline: {check.seen}"

    def _recorded(self) -> tuple[list[dict[str, Any]], golden.Predictions]:
        digest = recorded_candidate(self.resources, self.live.version).manifest_digest
        return golden.recorded(fetch_bundle(self.resources, self.live.version, digest, PRODUCTION))


def _conclude(
    resources: Resources, proposal: Proposal, seen: str, clock: Clock
) -> Deployment | None:
    """The spare goes; None where somebody else moved production in this very moment."""
    with deployment_lease(resources, PRODUCTION):
        live = resources.ledger.deployment(resources.model, PRODUCTION)
        if live is None or not rollout.is_live(live, proposal):
            return None
        resources.ledger.let_spare_go(resources.model, PRODUCTION)
        journal(resources, "released", proposal, seen, now=clock())
        settle_deployments(resources, PRODUCTION, now=clock())
        kept = {proposal.version, proposal.replaces or proposal.version}  # what a rollback proves
        forget_bundles(resources, PRODUCTION, keep=kept)
        return resources.ledger.deployment(resources.model, PRODUCTION)
