"""What a service counts of the requests it answers, read from its /metrics."""

from __future__ import annotations

import re
from collections import Counter

from include.evergreen.contracts import RunningService
from include.evergreen.policy.watching import Counters
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from include.evergreen.stages.deploy.services import runtime_for
from include.evergreen.stages.resources import Resources

#: In the details of a decision: what a service had counted before it was sent its first request.
COUNTERS = "counters"
_SAMPLE = re.compile(r"^evergreen_(\w+)\{(.*)\} (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
#: Paths that predict, as the service names them.
_PREDICTING = ("invocations", "v2")
_SERVER_ERROR = "5"


def counters_of(resources: Resources, service: RunningService) -> Counters:
    """The counters of this very service, whoever clients are sent to; all zero if it is silent."""
    with ServiceProbe(runtime_for(resources, service).reach(service)) as probe:
        return read_counters(probe.text("/metrics"))


def read_counters(page: str) -> Counters:
    """From the text of /metrics; all zero where it says nothing of requests."""
    requests = failures = 0
    latencies: Counter[str] = Counter()
    for line in page.splitlines():
        found = _SAMPLE.match(line)
        labels = dict(_LABEL.findall(found[2])) if found else {}
        if found is None or labels.get("path") not in _PREDICTING:
            continue
        number = round(float(found[3]))
        if found[1] == "requests_total":
            requests += number
            failures += number if labels["status"].startswith(_SERVER_ERROR) else 0
        elif found[1] == "request_duration_seconds_bucket":
            latencies[labels["le"]] += number
    return Counters(requests, failures, dict(latencies))
