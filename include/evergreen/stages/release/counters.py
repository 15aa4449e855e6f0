"""What a service counts of the requests it answers, read from its /metrics."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

from include.evergreen.contracts import Fact, RunningService
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import runtime_for
from include.evergreen.stages.resources import Resources

#: In the details of a decision: what a service had counted before it was sent its first request,
#: and since when it ran.
COUNTERS, STARTED = "counters", "started"
_SAMPLE = re.compile(r"^evergreen_(\w+)\{(.*)\} (\S+)$")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
#: A version that is silent so often in a row does not answer.
_TRIES, _TIMEOUT_S = 3, 2.0
#: Paths that predict, as the service names them.
_PREDICTING = ("invocations", "v2")
_SERVER_ERROR, _REFUSED = "5", "4"


@dataclass(frozen=True)
class Counters(Fact):
    """What a service has answered since it started, as it counts itself.

    `failures` are answers of 5xx, a prediction that is no number among them; `refusals` those of
    4xx: what the client got wrong by the contract of this version.
    `latencies` says how many were answered within each bound, in seconds, as Prometheus has it:
    cumulative, and the last bound is `+Inf`. So are `predictions`, of a regression; `labels` are
    rows by the class predicted. Neither has what a prober asked.
    """

    requests: int = 0
    failures: int = 0
    latencies: dict[str, int] = field(default_factory=dict)
    refusals: int = 0
    predictions: dict[str, int] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)

    def since(self, before: Counters) -> Counters:
        """What came since then; all of it where the service was started again in between."""
        if self.requests < before.requests:
            return self
        return Counters(
            self.requests - before.requests,
            self.failures - before.failures,
            _minus(self.latencies, before.latencies),
            self.refusals - before.refusals,
            _minus(self.predictions, before.predictions),
            _minus(self.labels, before.labels),
        )

    @property
    def p99_ms(self) -> float:
        """Linear within the bucket it falls into, as Prometheus has it; NaN of none."""
        ascending = sorted((float(bound), count) for bound, count in self.latencies.items())
        total = ascending[-1][1] if ascending else 0
        if not total:
            return math.nan
        rank, below, low = 0.99 * total, 0, 0.0
        for bound, count in ascending:
            if count >= rank:
                if math.isinf(bound):
                    return low * 1000
                return (low + (bound - low) * (rank - below) / max(count - below, 1)) * 1000
            below, low = count, bound
        return math.nan

    def slower_than(self, limit_ms: float) -> int:
        """How many requests took longer; linear within the bucket it falls into, 0 if unknown."""
        if not math.isfinite(limit_ms) or not self.latencies:
            return 0
        ascending = sorted((float(bound) * 1000, n) for bound, n in self.latencies.items())
        below, low = 0, 0.0
        for bound, count in ascending:
            if bound >= limit_ms:
                within = 0.0 if math.isinf(bound) else (limit_ms - low) / (bound - low)
                return math.floor(ascending[-1][1] - below - within * (count - below))
            below, low = count, bound
        return 0


def counters_of(resources: Resources, service: RunningService) -> Counters | None:
    """The counters of this very service, whoever clients are sent to; None if it does not answer.

    Raises:
        Unavailable: there is no way to it.
    """
    with ServiceProbe(runtime_for(resources, service).reach(service)) as probe:
        pages = (probe.text("/metrics", timeout_s=_TIMEOUT_S) for _ in range(_TRIES))
        page = next((page for page in pages if page), "")
    return read_counters(page) if page else None


def read_counters(page: str) -> Counters:
    """From the text of /metrics; all zero where it says nothing of requests."""
    statuses: Counter[str] = Counter()
    latencies: Counter[str] = Counter()
    predictions: dict[str, int] = {}
    classes: dict[str, int] = {}
    for line in page.splitlines():
        found = _SAMPLE.match(line)
        if found is None:
            continue
        name, labels, number = found[1], dict(_LABEL.findall(found[2])), float(found[3])
        if name == "prediction_bucket":
            predictions[labels["le"]] = round(number)
        elif name == "predicted_class_total":
            classes[labels["class"]] = round(number)
        elif labels.get("path") not in _PREDICTING:
            continue
        elif name == "requests_total":
            statuses[labels["status"][0]] += round(number)
        elif name == "request_duration_seconds_bucket":
            latencies[labels["le"]] += round(number)
    return Counters(
        requests=sum(statuses.values()),
        failures=statuses[_SERVER_ERROR],
        latencies=dict(latencies),
        refusals=statuses[_REFUSED],
        predictions=predictions,
        labels=classes,
    )


def _minus(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items()}
