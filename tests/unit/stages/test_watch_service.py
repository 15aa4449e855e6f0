"""Whoever has to know hears of a service that is silent or lost requests, not at every look."""

import datetime as dt
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.evergreen import settings
from include.evergreen.adapters.registry import Registry
from include.evergreen.adapters.runtime.process_runtime import ProcessRuntime
from include.evergreen.contracts import RunningService
from include.evergreen.errors import Unavailable
from include.evergreen.stages.clock import utc_now
from include.evergreen.stages.monitoring.watch_service import watch_service
from include.evergreen.stages.resources import Resources
from tests.unit.stages import watched

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


class Service:
    """Answers `/stats` as the serving app does, with counters that a test sets."""

    def __init__(self) -> None:
        self.spool = {"rows_dropped": 0, "last_error": ""}
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"spool": service.spool}).encode()
                self.send_response(200 if self.path == "/stats" else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.stop()


@pytest.fixture
def resources(
    installation: settings.Settings, service: Service, monkeypatch: pytest.MonkeyPatch
) -> Resources:
    """A model whose version 1 is live as that service, under its alias."""
    monkeypatch.setattr(Registry, "version_of", lambda *_: 1)
    resources = Resources(watched.spec(), installation)
    name = "evergreen-rides-production-v1"
    number = resources.ledger.begin_deployment("rides", 1, "production", name, NOW)
    running = RunningService("1", name, "process", service.endpoint, "digest", "spool")
    resources.ledger.record_service(number, running, NOW)
    resources.ledger.finish_deployment(number, "live", "verified", (), NOW)
    return resources


def test_a_service_that_is_well_is_no_news(resources: Resources):
    assert watch_service(resources, now=NOW) is None
    assert resources.ledger.decisions("rides") == []


def test_an_alias_that_lags_behind_what_answers_is_moved(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
):
    moved: list[tuple[str, int]] = []
    monkeypatch.setattr(Registry, "version_of", lambda *_: None)
    monkeypatch.setattr(Registry, "version_info", lambda *_: None)
    monkeypatch.setattr(Registry, "set_alias", lambda _, __, *what: moved.append(what))
    assert watch_service(resources, now=NOW) is None
    assert moved == [("champion", 1)]

    def away(*_: object) -> None:
        raise Unavailable("MLflow does not answer")

    monkeypatch.setattr(Registry, "version_of", away)
    assert watch_service(resources, now=NOW) is None, "the next look moves it"


def test_dropped_rows_are_told_once_for_each_loss(resources: Resources, service: Service):
    service.spool = {"rows_dropped": 1200, "last_error": "No space left on device"}
    told = watch_service(resources, now=NOW)
    assert told is not None
    assert "1,200 rows" in told
    assert "No space left on device" in told
    assert watch_service(resources, now=NOW) is None
    service.spool["rows_dropped"] = 1300
    assert "1,300 rows" in (watch_service(resources, now=NOW) or "")


def test_a_silent_service_is_told_and_told_again_while_it_lasts(
    resources: Resources, service: Service
):
    service.stop()
    told = watch_service(resources, now=NOW)
    assert told is not None
    assert "does not answer" in told
    assert "rides.release" in told
    assert watch_service(resources, now=NOW) is None
    later = [watch_service(resources, now=NOW) for _ in range(3)]
    assert later == [None, told, None], "an alert may be lost: the 4th look tells it again"
    (decision,) = resources.ledger.decisions("rides")
    assert (decision.stage, decision.verdict) == ("service", "silent")


def test_the_very_service_is_asked_and_not_who_answers_at_its_address(
    resources: Resources, service: Service, monkeypatch: pytest.MonkeyPatch
):
    own = Service()
    monkeypatch.setattr(ProcessRuntime, "reach", lambda *_: f"{own.endpoint}")
    own.spool = {"rows_dropped": 7, "last_error": "its disk is full"}
    told = watch_service(resources, now=NOW)
    assert told is not None
    assert "its disk is full" in told
    assert service.endpoint in told, "people are told where clients ask"
    assert own.endpoint not in told, "the way of those who prove is nobody's business"
    own.stop()
    assert "does not answer" in (watch_service(resources, now=NOW) or "")

    def gone(*_: object) -> str:
        raise Unavailable("it is gone")

    monkeypatch.setattr(ProcessRuntime, "reach", gone)
    assert watch_service(resources, now=NOW) is None, "as silent as before, and told"
    (_, decision) = reversed(resources.ledger.decisions("rides"))
    assert (decision.verdict, decision.count) == ("silent", 2)


def test_while_somebody_is_at_work_on_it_nothing_is_told(resources: Resources, service: Service):
    service.stop()
    taken = resources.ledger.take_lease("deployment:rides:production", "a run", utc_now(), 60)
    assert watch_service(resources, now=NOW) is None
    assert resources.ledger.decisions("rides") == []
    resources.ledger.release_lease(taken, utc_now())
    assert "does not answer" in (watch_service(resources, now=NOW) or "")


def test_without_a_live_version_nothing_is_asked(installation: settings.Settings):
    assert watch_service(Resources(watched.spec(), installation), now=NOW) is None
