"""The load test counts what was answered, and what was not."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from include.evergreen.stages.deploy.load_probe import percentile, run_load
from include.evergreen.stages.deploy.service_probe import ServiceProbe


@contextmanager
def service(status: int, seen: list[str]) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(self.headers.get("X-Evergreen-Probe", "missing"))
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_answered_requests_are_counted_and_marked_as_probes() -> None:
    seen: list[str] = []
    with service(200, seen) as endpoint:
        load = run_load(endpoint, b"{}", connections=2, seconds=0.3)
    assert load.failures == 0
    assert load.requests > 10
    assert 0 < load.p50_ms <= load.p99_ms
    assert set(seen) == {"1"}
    assert len(seen) >= load.requests, "the warm-up is sent and not counted"


def test_a_refusal_is_a_failure() -> None:
    with service(422, []) as endpoint:
        load = run_load(endpoint, b"{}", connections=1, seconds=0.1)
    assert load.requests == 0
    assert load.failures > 0


def test_a_service_that_is_gone_fails_without_an_endless_loop() -> None:
    load = run_load("http://127.0.0.1:9", b"{}", connections=2, seconds=0.1)
    assert load.requests == 0
    assert 0 < load.failures < 200


def test_a_probe_of_a_service_that_is_gone_is_status_0() -> None:
    with ServiceProbe("http://127.0.0.1:9") as probe:
        assert probe.get("/ping") == (0, None)


@pytest.mark.parametrize(
    ("share", "value"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)]
)
def test_a_percentile_is_the_smallest_value_that_covers_the_share(
    share: float, value: float
) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == value
