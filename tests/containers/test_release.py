"""Clients of production lose no request, whichever way a release goes, behind the real gateway."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from include.evergreen.adapters.runtime import Traffic
from include.evergreen.errors import ReleaseRolledBack, SettingsError
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.deploy.settle import settle_deployments
from include.evergreen.stages.deploy.traffic import door_is_wrong
from include.evergreen.stages.monitoring.watch_service import watch_service
from include.evergreen.stages.resources import Resources
from tests.containers.asking import asking
from tests.containers.conftest import House
from tests.containers.test_gateway_release import TOKEN, certificate

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

    def run(self, _: int) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_no_request_is_lost_in_a_release_or_a_rollback_which_is_back_within_seconds(
    house: House, tmp_path: Path
) -> None:
    first = house.release(1)
    house.deploy(2)
    staging = house.resources.ledger.deployment("rides", "staging")
    assert staging.service.endpoint != first.service.endpoint, "an address for each environment"
    with asking(Clients(first.service.endpoint), CLIENTS) as clients:
        proposal = house.switch()
        assert house.states() == [(1, "spare"), (2, "live")]
        second = house.resources.ledger.deployment("rides", "production")
        stands_in = Traffic({second.service.name: 1.0}, spare=first.service.name)
        assert house.runtime.traffic("rides", "production") == stands_in
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
    assert house.runtime.traffic("rides", "production") == Traffic({names[0]: 1.0})
    its_door_follows_the_spec(house, tmp_path)


def its_door_follows_the_spec(house: House, folder: Path) -> None:
    """The door is shut at the next settling, and who looks after the version is let in."""
    live = house.resources.ledger.deployment("rides", "production")
    plain, shown = live.service.endpoint, {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{plain}/ping", timeout=5).ok
    poor = with_door(house)
    settle_deployments(poor, "production", now=house.now())
    assert requests.get(f"{plain}/ping", timeout=5).ok, "as it was, and said"
    with pytest.raises(SettingsError, match=r"door\.tls is on"):
        House(poor, house.folder).start(house.approve(1))
    assert house.states()[-1] == (2, "live"), "nothing was started"

    pem, trusted = folder / "door.pem", folder / "trusted.pem"
    pem.write_text(certificate("rides.example"))
    trusted.write_text(pem.read_text().partition("-----BEGIN PRIVATE")[0])
    guarded = with_door(house, tls_certificate=str(pem), serving_token=TOKEN)
    assert door_is_wrong(guarded, house.runtime)
    settle_deployments(guarded, "production", now=house.now())
    assert not door_is_wrong(guarded, house.runtime)
    address = guarded.ledger.deployment("rides", "production").service.endpoint
    assert address == plain.replace("http:", "https:")
    said = [
        requests.get(f"{address}/ping", headers=headers, verify=str(trusted), timeout=5).status_code
        for headers in ({}, shown)
    ]
    assert said == [401, 200]
    watch_service(guarded, now=house.now())
    assert guarded.ledger.last_decision("rides", "service") is None, "it is well, and no news"


def with_door(house: House, **settings: str) -> Resources:
    """The same installation after its spec got a door, and what it has for one."""
    document = house.resources.spec.model_dump(mode="json", exclude_unset=True)
    document["deployment"]["door"] = {"tls": True, "token": True}
    spec = ModelSpec.model_validate(document)
    return Resources(spec, dataclasses.replace(house.resources.settings, **settings))


@pytest.mark.slow
@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_a_version_that_dies_after_the_switch_is_rolled_back_by_its_watch(
    house: House, engine: Any
) -> None:
    first = house.release(1)
    house.deploy(2)
    with asking(Clients(first.service.endpoint), CLIENTS) as clients:
        proposal = house.switch()
        broken = house.resources.ledger.deployment("rides", "production")
        time.sleep(0.2)
        engine.kill(broken.service.service_id)
        died = time.monotonic()
        with pytest.raises(ReleaseRolledBack, match="v2 was rolled back: it ended"):
            house.watch(proposal)
        back = time.monotonic()
        time.sleep(1)
    assert set(clients.counted()) == {"v1", "v2"}, f"lost: {clients.counted()}"
    assert back - died < BACK_S
    late = Counter(said for at, said in clients.answers if at > back)
    assert set(late) == {"v1"}, late
    assert (house.live(), house.champion()) == (1, 1)
