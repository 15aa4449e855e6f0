"""A short load test: each latency runs from sending a request to the last byte of its answer.

Threads over keep-alive connections, each sending its next request when the last was answered. The
client shares the machine and one interpreter, so the figures are a lower bound on the service: what
passes here passes, and a rate in the thousands says more about the client.
"""

from __future__ import annotations

import http.client
import math
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from include.evergreen.policy.verification import LoadResult
from include.evergreen.stages.deploy.service_probe import PROBE_HEADERS

WARM_UP_S = 0.3  # first requests fill caches and thread pools; they are answered, not counted
_TIMEOUT_S = 10.0
_PAUSE_AFTER_FAILURE_S = 0.01  # a service that is gone is not asked a million times
_OK = 200


def run_load(endpoint: str, body: bytes, *, connections: int, seconds: float) -> LoadResult:
    """POST `body` to /invocations over `connections` connections for `seconds`."""
    starts = time.perf_counter() + WARM_UP_S
    clients = [_Client(endpoint, body, starts, starts + seconds) for _ in range(connections)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = sorted(latency for client in clients for latency in client.latencies_s)
    return LoadResult(
        requests=len(latencies),
        failures=sum(client.failures for client in clients),
        seconds=seconds,
        p50_ms=percentile(latencies, 0.50) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
    )


@dataclass
class _Client:
    """One keep-alive connection and what came of its requests."""

    endpoint: str
    body: bytes
    starts: float
    ends: float
    latencies_s: list[float] = field(default_factory=list)
    failures: int = 0

    def run(self) -> None:
        address = urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=_TIMEOUT_S
        )
        while (sent := time.perf_counter()) < self.ends:
            if not self._ask(connection, f"{address.path}/invocations"):
                self.failures += 1
                connection.close()
                time.sleep(_PAUSE_AFTER_FAILURE_S)
            elif sent >= self.starts:
                self.latencies_s.append(time.perf_counter() - sent)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, path: str) -> bool:
        headers = {"Content-Type": "application/json", **PROBE_HEADERS}
        try:
            connection.request("POST", path, self.body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return False
        return answer.status == _OK


def percentile(ordered: list[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed; NaN of none."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else math.nan
