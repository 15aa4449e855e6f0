"""A runtime whose services are numbers on a page: what they count is what the test says."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from include.evergreen.adapters.runtime import DoorSettings, ServiceOrder, Traffic
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.errors import Unavailable, Unsupported

BOUNDS = ("0", "10", "20", "+Inf")


class Died(BaseException):
    """The process ended here."""


@dataclass
class Served:
    """What one service says of itself on its /metrics. `shut_out`: not to the gateway's checks."""

    requests: int = 0
    failures: int = 0
    refusals: int = 0
    fast: int = 0
    predictions: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    state: str = "running"
    started: dt.datetime = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    silent: bool = False
    shut_out: bool = False
    answers: list[tuple[int, Any]] = field(default_factory=list)

    def serve(
        self, good: int, *, failures: int = 0, refusals: int = 0, bucket: int = 1, slow: int = 0
    ) -> None:
        """So many requests more, their predictions spread over this bucket and the next."""
        self.requests += good + failures + refusals
        self.failures += failures
        self.refusals += refusals
        self.fast += good + failures + refusals - slow
        for n in range(good):
            self.predictions[bucket + n % 2] += 1

    def restart(self) -> None:
        self.__dict__.update(vars(Served(started=self.started + dt.timedelta(hours=1))))

    def page(self) -> str:
        good = self.requests - self.failures - self.refusals
        lines = [
            f'evergreen_requests_total{{path="invocations",status="{status}"}} {n}'
            for status, n in ((200, good), (422, self.refusals), (500, self.failures))
        ]
        for bound, n in (("0.01", self.fast), ("1", self.requests), ("+Inf", self.requests)):
            labels = f'path="invocations",le="{bound}"'
            lines.append(f"evergreen_request_duration_seconds_bucket{{{labels}}} {n}")
        for place, bound in enumerate(BOUNDS):
            below = sum(self.predictions[: place + 1])
            lines.append(f'evergreen_prediction_bucket{{le="{bound}"}} {below}')
        return "\n".join(lines)


class FakeRuntime:
    """See `Runtime`. `done` has every effect but a door that stays as it is; `taken_away` those
    who were removed while they were to answer.
    """

    name = "docker"
    splits = True

    def __init__(self, address: str) -> None:
        self.address, self.way = address, "a gateway"
        self.served: dict[str, Served] = {}
        self.shares: dict[str, float] = {}
        self.spare, self.patience_s, self.door = "", 0.0, DoorSettings()
        self.taken_away: list[str] = []
        self.done: list[tuple[str, Any]] = []

    def start(self, order: ServiceOrder) -> RunningService:
        service = self.add(order.image)
        if self.state(service) != "running":
            self.served[service.name].restart()
        return service

    def name_of(self, order: ServiceOrder) -> str:
        return self.service(order.image).name

    def add(self, image: BuiltImage) -> RunningService:
        name = self.service(image).name
        self.served.setdefault(name, Served())
        return self.service(image)

    def service(self, image: BuiltImage) -> RunningService:
        name = f"evergreen-{image.model}-v{image.version}-production-00000000"
        return RunningService(f"id-{name}", name, "docker", self.address, image.digest, "")

    def of(self, version: int) -> Served:
        return next(seen for name, seen in self.served.items() if f"-v{version}-" in name)

    def split(
        self, shares: Mapping[RunningService, float], *, sticky: bool = False, patience_s: float = 0
    ) -> None:
        del sticky
        self.patience_s = patience_s
        if any(self.served[service.name].silent for service in shares):
            raise Unavailable("one of them does not answer")
        self.shares = {service.name: share for service, share in shares.items()}
        self.spare = ""
        self.done.append(("split", tuple(round(share, 3) for share in shares.values())))

    def publish(
        self,
        service: RunningService,
        *,
        spare: RunningService | None = None,
        patience_s: float = 0,
    ) -> RunningService:
        if spare is not None and not self.splits:
            raise Unsupported("there is nothing that could ask a spare")
        self.shares, self.spare = {service.name: 1.0}, spare.name if spare else ""
        self.patience_s = patience_s
        self.done.append(("publish", service.name))
        return service

    def traffic(self, model: str, environment: str) -> Traffic:
        del model, environment
        return Traffic(self.shares, self.spare)

    def guard(self, model: str, environment: str, door: DoorSettings) -> None:
        del model
        assert environment == "production", "staging has no door"
        if not self.splits and not door.open:
            raise Unsupported("there is no door")
        if door != self.door:
            self.door = door
            self.done.append(("guard", door))

    def is_guarded(self, model: str, environment: str, door: DoorSettings) -> bool:
        del model, environment
        return door == self.door

    def find(self, model: str, environment: str) -> list[RunningService]:
        del model, environment
        return [
            RunningService(f"id-{name}", name, "docker", self.address, "", "")
            for name in self.served
        ]

    def remove(self, service: RunningService, *, grace_s: float) -> None:
        del grace_s
        if service.name in {*self.shares, self.spare}:
            self.taken_away.append(service.name)
        self.served.pop(service.name, None)
        self.done.append(("remove", service.name))

    def keep(self, service: RunningService) -> None:
        self.done.append(("keep", service.name))

    def reach(self, service: RunningService) -> str:
        if service.name not in self.served:
            raise Unavailable(f"{service.name} is gone")
        return f"{self.address}/{service.name}"

    def way_to(self, service: RunningService) -> str:
        del service
        return self.way

    def state(self, service: RunningService) -> str:
        seen = self.served.get(service.name)
        return seen.state if seen else "gone"

    def started_at(self, service: RunningService) -> dt.datetime | None:
        seen = self.served.get(service.name)
        return seen.started if seen else None

    def is_published(self, service: RunningService) -> bool:
        return service.name in self.shares

    def is_silent(self, service: RunningService) -> bool:
        return self.is_published(service) and self.served[service.name].shut_out

    def has(self, image: BuiltImage) -> bool:
        del image
        return True

    def logs(self, service: RunningService, *, lines: int) -> str:
        del service, lines
        return ""


@contextmanager
def serving() -> Iterator[FakeRuntime]:
    """A runtime whose services can be asked over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen = runtime.served.get(self.path.split("/")[1])
            if seen is None or seen.silent:
                self.send_error(503)
                return
            self._say(seen.page().encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = runtime.served[self.path.split("/")[1]].answers.pop(0)
            self._say(body, status)

        def _say(self, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    runtime = FakeRuntime(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield runtime
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
