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
from typing import Any, NoReturn

from include.evergreen.adapters.runtime import Runtime
from include.evergreen.contracts import Deployment, Proposal
from include.evergreen.errors import InputError, ReleaseRolledBack, Unavailable
from include.evergreen.policy.rollout.evidence import Observed
from include.evergreen.policy.rollout.watch import Probes, WatchRules, decide_watch
from include.evergreen.policy.verification import check_predictions
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy import golden
from include.evergreen.stages.deploy.build import recorded_candidate
from include.evergreen.stages.deploy.deployment_lease import deployment_lease
from include.evergreen.stages.deploy.fetch_bundle import fetch_bundle, forget_bundles
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.deploy.settle import settle_deployments
from include.evergreen.stages.release.counters import COUNTERS, Counters, read_counters
from include.evergreen.stages.release.journal import journal, words
from include.evergreen.stages.release.rollback import choose_return, put_back
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

    None: the watch is not over, call again; where it stands is in the ledger.

    Raises:
        ReleaseRolledBack: it broke them, and the version before answers again; or somebody rolled
            it back meanwhile.
    """
    began = time.monotonic()
    look = None
    while True:
        live = resources.ledger.deployment(resources.model, PRODUCTION)
        if live is None or live.version != proposal.version:
            raise ReleaseRolledBack(
                f"{proposal.model} v{proposal.version} was taken out of production during its "
                f"watch; {f'v{live.version}' if live else 'nothing'} answers there now."
            )
        look = look or _Look(resources, live, _baseline(resources, proposal))
        look.again()
        seconds = (clock() - dt.datetime.fromisoformat(live.deployed_at)).total_seconds()
        verdict = decide_watch(look.observed, look.probes, _rules(resources), elapsed_s=seconds)
        if look.broken or verdict.word == "roll_back":
            _undo(resources, proposal, look.broken or verdict.reason, clock)
        if verdict.word == "passed" and not look.wrong_looks:
            return _conclude(resources, proposal, verdict.reason, clock)
        if time.monotonic() - began > slice_s:
            return None
        time.sleep(_POLL_S)


def _rules(resources: Resources) -> WatchRules:
    deployment = resources.spec.deployment
    watch, levels = deployment.watch, deployment.service_levels
    return WatchRules(watch.seconds, watch.max_error_share, watch.max_p99_ms or levels.p99_ms)


def _baseline(resources: Resources, proposal: Proposal) -> Counters:
    """What the service had counted, its load test say, before it was sent its first request."""
    for word, decision in words(resources.ledger, proposal.model):
        if word == "releasing" and COUNTERS in decision.details:
            return Counters.from_json(decision.details[COUNTERS])
    return Counters()


@dataclass
class _Look:
    """What was seen of one service, look by look. `broken`: what no number of requests excuses."""

    resources: Resources
    live: Deployment
    baseline: Counters
    probes: Probes = field(default_factory=lambda: Probes(0, 0))
    observed: Observed = field(default_factory=lambda: Observed(0, 0))
    wrong_looks: int = 0
    broken: str = ""
    _address: str = ""
    _way: str = ""
    _started: dt.datetime | None = None
    _golden: tuple[list[dict[str, Any]], golden.Predictions] | None = None
    _golden_at: float = -math.inf

    def again(self) -> None:
        """One more look at it."""
        runtime, service = runtime_for(self.resources, self.live.service), self.live.service
        started = runtime.started_at(service)
        self._started = self._started or started
        if runtime.state(service) != "running":
            self.broken = "it ended"
            return
        if started != self._started:
            self.broken = "it ended, and was started again"
            return
        answers = self._ask(runtime)
        failed = 0 if answers else self.probes.failed_in_a_row + 1
        self.probes = Probes(self.probes.asked + 1, failed)

    def _ask(self, runtime: Runtime) -> bool:
        """Whether it answers; if so, what it has counted is read, and its golden rows are asked."""
        try:
            if not self._address or runtime.way_to(self.live.service) != self._way:
                self._reach(runtime)
        except Unavailable as error:
            log.warning("%s", error)
            return False
        with ServiceProbe(self._address) as probe:
            if probe.get("/ping", timeout_s=_PING_TIMEOUT_S)[0] != _OK:
                return False
            seen = read_counters(probe.text("/metrics")).since(self.baseline)
            self.observed = Observed(seen.requests, seen.failures, seen.p99_ms)
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
        if live is None or live.version != proposal.version:
            return None
        resources.ledger.let_spare_go(resources.model, PRODUCTION)
        journal(resources, "released", proposal, seen, now=clock())
        settle_deployments(resources, PRODUCTION, now=clock())
        kept = {proposal.version, proposal.replaces or proposal.version}  # what a rollback proves
        forget_bundles(resources, PRODUCTION, keep=kept)
        return resources.ledger.deployment(resources.model, PRODUCTION)


def _undo(resources: Resources, proposal: Proposal, broken: str, clock: Clock) -> NoReturn:
    """The version before answers again; where there is none, the broken one is left."""
    who = f"{proposal.model} v{proposal.version}"
    try:
        wanted = choose_return(resources, None, f"by the watch: {broken}")
    except InputError as error:
        journal(resources, "failed", proposal, broken, now=clock())
        raise ReleaseRolledBack(
            f"{who} breaks its service levels in production ({broken}), and there is no version to "
            f"go back to: it is left as it is. Look now. {error}"
        ) from error
    back = put_back(resources, wanted, clock=clock)
    raise ReleaseRolledBack(
        f"{who} was rolled back: {broken}. v{back.version} answers again at "
        f"{back.service.endpoint}; it has proven itself. Nobody need get up. v{proposal.version} "
        f"is released again by hand only."
    )
