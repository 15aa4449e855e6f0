"""A client that asks production without a pause, and counts what it did not get."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import requests

from include.evergreen.contracts import Deployment
from include.evergreen.errors import EvergreenError
from include.evergreen.stages.deploy.services import PRODUCTION
from include.evergreen.stages.resources import Resources

_PAUSE_S = 0.04
#: One request in so many counts as traffic, and goes into the lake; behind a gateway each does.
_TRAFFIC = 5


@dataclass
class Score:
    """Requests of one episode. `engine_down`: not answered while the engine itself was down."""

    answered: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    engine_down: int = 0


class Client:
    """Asks where the ledger says that a version is live in production, from its first release on.

    A client that is handed to the next version between looking and asking asks again there, as one
    behind a gateway would be. Where the ledger cannot be asked, the last word holds.
    """

    def __init__(
        self,
        resources: Resources,
        rows: Callable[[int], list[dict[str, Any]]],
        engine_is_down: Callable[[], bool],
    ) -> None:
        self.score = Score()
        self._resources, self._rows, self._engine_is_down = resources, rows, engine_is_down
        self._known: Deployment | None = None
        self._excused = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="client", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        asked = 0
        with requests.Session() as http:
            http.trust_env = False
            while not self._done.wait(_PAUSE_S):
                live = self._live()
                if live is None:
                    continue
                asked += 1
                self._count(http, live, traffic=asked % _TRAFFIC == 0)

    def _count(self, http: requests.Session, live: Deployment, *, traffic: bool) -> None:
        why = self._ask(http, live, traffic=traffic)
        now = self._live()
        if why and now is not None and now.service != live.service:
            live, why = now, self._ask(http, now, traffic=traffic)
        if not why:
            self._excused = False
            self.score.answered[str(live.version)] += 1
        elif self._by_the_engine(live):
            self.score.engine_down += 1
        else:
            self.score.lost.append(f"v{live.version} at {live.service.endpoint}: {why}")

    def _by_the_engine(self, live: Deployment) -> bool:
        """Whether its engine is down, or was and has not brought the service back yet."""
        if live.service.runtime == "docker" and self._engine_is_down():
            self._excused = True
        return self._excused and live.service.runtime == "docker"

    def _live(self) -> Deployment | None:
        with contextlib.suppress(EvergreenError):
            self._known = self._resources.ledger.deployment(self._resources.model, PRODUCTION)
        return self._known

    def _ask(self, http: requests.Session, live: Deployment, *, traffic: bool) -> str:
        """What went wrong; empty where the live version answered."""
        headers = {"X-Request-Id": uuid.uuid4().hex}
        if not traffic:
            headers["X-Evergreen-Probe"] = "1"
        try:
            answer = http.post(
                f"{live.service.endpoint}/invocations",
                json={"dataframe_records": self._rows(1)},
                headers=headers,
                timeout=30,
            )
        except requests.RequestException as error:
            return f"{error!r:.200}"
        if not answer.ok:
            return f"status {answer.status_code}: {answer.text[:200]}"
        said = answer.headers.get("X-Model-Version")
        return "" if said in {str(live.version), *self._being_left()} else f"v{said} answered"

    def _being_left(self) -> set[str]:
        """Versions that were replaced and answer until clients have been sent to the live one."""
        with contextlib.suppress(EvergreenError):
            records = self._resources.ledger.deployments(
                self._resources.model, ["spare", "stopping"], PRODUCTION
            )
            return {str(record.version) for record in records}
        return set()
