"""Clients of production lose no request, whichever way a release goes, behind the real gateway."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests

from include.evergreen.errors import ReleaseRolledBack
from tests.containers.conftest import House

ROW = {"at": "2024-05-01T08:00:00+00:00", "temperature": 12.5, "weather": "mist"}
BODY = {"dataframe_records": [ROW]}
CLIENTS = 4
BACK_S, WARM_S = 30.0, 10.0


class Clients:
    """What came of the requests that never stop, in the order of their answers."""

    def __init__(self, endpoint: str) -> None:
        self.url = f"{endpoint}/invocations"
        self.answers: list[tuple[float, str]] = []
        self.over = threading.Event()

    def run(self) -> None:
        with requests.Session() as session:
            while not self.over.is_set():
                try:
                    answer = session.post(self.url, json=BODY, timeout=10)
                    ok = answer.status_code == 200
                    said = (
                        f"v{answer.headers['X-Model-Version']}" if ok else str(answer.status_code)
                    )
                except requests.RequestException as error:
                    said = type(error).__name__
                self.answers.append((time.monotonic(), said))

    def counted(self) -> Counter[str]:
        return Counter(said for _, said in self.answers)


@contextmanager
def asking(endpoint: str) -> Iterator[Clients]:
    clients = Clients(endpoint)
    threads = [threading.Thread(target=clients.run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.over.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_no_request_is_lost_in_a_release_or_a_rollback_which_is_back_within_seconds(
    house: House,
) -> None:
    first = house.release(1)
    house.deploy(2)
    staging = house.resources.ledger.deployment("rides", "staging")
    assert staging.service.endpoint != first.service.endpoint, "an address for each environment"
    with asking(first.service.endpoint) as clients:
        proposal = house.switch()
        assert house.states() == [(1, "spare"), (2, "live")]
        began = time.monotonic()
        back = house.roll_back(reason="nobody likes it")
        seconds = time.monotonic() - began
        time.sleep(0.5)
        house.watch(house.switch(proposal.version))
        time.sleep(0.5)
    assert set(clients.counted()) == {"v1", "v2"}, clients.counted()
    assert back.service.endpoint == first.service.endpoint
    assert seconds < WARM_S
    assert clients.answers[-1][1] == "v2"
    assert (house.live(), house.champion()) == (2, 2)
    names = [service.name for service in house.runtime.find("rides", "production")]
    assert len(names) == 1, "the spare is gone"


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_a_version_that_dies_after_the_switch_is_rolled_back_by_its_watch(
    house: House, engine: Any
) -> None:
    first = house.release(1)
    house.deploy(2)
    with asking(first.service.endpoint) as clients:
        proposal = house.switch()
        broken = house.resources.ledger.deployment("rides", "production")
        engine.kill(broken.service.service_id)
        died = time.monotonic()
        with pytest.raises(ReleaseRolledBack, match="v2 was rolled back: it ended"):
            house.watch(proposal)
        back = time.monotonic()
        time.sleep(1)
    assert back - died < BACK_S
    late = Counter(said for at, said in clients.answers if at > back)
    assert set(late) == {"v1"}, late
    assert (house.live(), house.champion()) == (1, 1)
