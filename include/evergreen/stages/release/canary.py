"""A growing share of the requests goes to the new version, as long as it is as good as the old one.

What both counted since the step began is compared: requests and their statuses, latencies, and the
predictions, whose histogram is there at once, is of this very step, and has no prober's rows; the
prediction log would be exact, but comes a quarter of an hour later.

A request that the new version refuses (4xx) is a failure here, as one that it fails at (5xx): its
contract may be another. What clients get wrong they get wrong with both versions alike, for each
request is given to one of them by chance.
"""

from __future__ import annotations

import datetime as dt
import logging

from include.evergreen.contracts import Deployment, Proposal, Verification
from include.evergreen.policy.rollout.canary import CanaryRules, Elapsed, decide_step
from include.evergreen.policy.rollout.evidence import Observed
from include.evergreen.policy.rollout.shift import binned_shift, label_shift
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.services import PRODUCTION
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.beside import Look, seconds_since
from include.evergreen.stages.release.counters import Counters
from include.evergreen.stages.release.stand import Stand
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


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
    shares = tuple(resources.spec.deployment.canary.steps)
    first = Stand("canary", proven, clock().isoformat(), shares)
    why = f"canary: first {shares[0]:.3g} of the requests"
    stand = rollout.begun(resources, proposal, first, why, now=clock())
    return _Canary(resources, proposal, stand, clock).take()


class _Canary(Look):
    def decide(self, old: Counters, new: Counters, now: dt.datetime) -> Deployment | None:
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
                seconds_since(stand.since, now) if stand.since else 0.0,
                rules.window_s,
                seconds_since(stand.began, now),
            ),
            slow=new.slower_than(rules.max_p99_ratio * old.p99_ms),
        )
        told = f"step {stand.step + 1} of {len(stand.shares)}"
        log.info("%s %s: %s: %s", self.resources.model, told, verdict.word, verdict.reason)
        evidence = {"champion": old.as_json(), "challenger": new.as_json()}
        if verdict.word == "abort":
            self.abort(f"{told}: {verdict.reason}", evidence)
        if verdict.word == "not_yet":
            rollout.renew(self.resources, self.proposal, stand, now=now)
            return None
        following = stand.step + 1
        share = f"{stand.shares[following]:.3g}" if following < len(stand.shares) else "all"
        why = f"canary: {share} of the requests after {told}: {verdict.reason}"
        return self.next_step(why, now=now, evidence=evidence)


def _observed(seen: Counters) -> Observed:
    return Observed(seen.requests, seen.failures + seen.refusals, seen.p99_ms)


def _shift(old: Counters, new: Counters) -> float:
    if old.labels or new.labels:
        return label_shift(old.labels, new.labels)
    return binned_shift(old.predictions, new.predictions)
