"""A process stopped past its lease in the middle of a deployment changes nothing when it wakes."""

from __future__ import annotations

import dataclasses
from typing import Any

import psutil
import pytest
import requests

from tests import stopped_stages
from tests.containers.conftest import House
from tests.stopped import LEASE_S, stopped

LEDGER = "include.evergreen.adapters.ledger:Ledger"
REGISTRY = "include.evergreen.adapters.registry.registry:Registry"
PROMOTE = "include.evergreen.stages.deploy.promote"
SETTLE = "include.evergreen.stages.deploy.settle"
VERIFY = "include.evergreen.stages.deploy.verify"


def on_both_runtimes(*points: tuple[str, str]) -> Any:
    """The first and the last point with plain processes, the last one with containers too; `make
    chaos`: all. Each waits for a lease to be over.
    """
    tried = {("process", points[0]), ("process", points[-1]), ("docker", points[-1])}
    cases = [
        pytest.param(
            runtime, *point, marks=() if (runtime, point) in tried else (pytest.mark.chaos,)
        )
        for runtime in ("process", "docker")
        for point in points
    ]
    return pytest.mark.parametrize(("house", "at", "when"), cases, indirect=["house"])


def of_second_run(house: House) -> House:
    resources = dataclasses.replace(house.resources, owner="second run", lease_s=LEASE_S)
    return House(resources, house.folder, house.built, house.clock)


def world(house: House) -> dict[str, Any]:
    """Everything a deployment may change, inside and outside of the ledger."""
    registry = house.resources.registry
    services = house.runtime.find()
    here = str(house.resources.settings.home)
    return {
        "deployments": house.resources.ledger.deployments("rides"),
        "decisions": house.resources.ledger.decisions("rides"),
        "aliases": {a: registry.version_of("rides", a) for a in ("staging", "champion")},
        "services": [(service, house.runtime.state(service)) for service in services],
        "processes": sorted(
            p.pid for p in psutil.process_iter(["cmdline"])
            if here in " ".join(p.info["cmdline"] or ()) and "app.py" in " ".join(p.info["cmdline"])
        ),
    }  # fmt: skip


@on_both_runtimes(
    (f"{PROMOTE}:_begun", "before"),
    (f"{LEDGER}.finish_deployment", "before"),
    (f"{LEDGER}.finish_deployment", "after"),
    (f"{REGISTRY}.set_alias", "before"),
    (f"{SETTLE}:_stop_replaced", "before"),
)
def test_one_live_deployment_whoever_sleeps_inside_promote(
    house: House, tmp_path: Any, at: str, when: str
) -> None:
    house.deploy(1)
    house.register(2)
    proven = house.verify(house.build(house.choose()))
    others = of_second_run(house)
    first = stopped_stages.promote_to_staging
    with stopped(
        first, (proven,), house.resources, at=at, when=when, folder=tmp_path
    ) as asleep:  # fmt: skip
        others.promote(proven)
        third = others.deploy(3)
        before = world(others)
        assert asleep.wake() == "LeaseLost"
    assert world(others) == before
    assert before["aliases"] == {"staging": 3, "champion": None}
    assert before["services"] == [(third.service, "running")]
    live = [record for record in before["deployments"] if record.state == "live"]
    assert [record.version for record in live] == [3]
    if third.service.runtime == "process":
        assert len(before["processes"]) == 1


@on_both_runtimes(
    (f"{LEDGER}.begin_deployment", "after"),
    (f"{VERIFY}:_checks_at", "after"),
    (f"{LEDGER}.record_service", "before"),
)
def test_one_service_whoever_sleeps_inside_verify(
    house: House, tmp_path: Any, at: str, when: str
) -> None:
    house.register(1)
    image = house.build(house.choose())
    others = of_second_run(house)
    first = stopped_stages.start_and_verify
    with stopped(first, (image,), house.resources, at=at, when=when, folder=tmp_path) as asleep:
        deployed = others.promote(others.verify(image))
        before = world(others)
        assert asleep.wake() == "LeaseLost"
    assert world(others) == before
    assert before["services"] == [(deployed.service, "running")]


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_clients_stay_with_the_live_version_when_who_was_to_send_them_elsewhere_wakes(
    house: House, tmp_path: Any
) -> None:
    house.deploy(1)
    house.register(2)
    proven = house.verify(house.build(house.choose()))
    others = of_second_run(house)
    promoting = stopped_stages.promote_to_staging
    at = "include.evergreen.adapters.runtime.gateway_socket:_send"
    with stopped(
        promoting, (proven,), house.resources, at=at, when="before", folder=tmp_path
    ) as asleep:  # fmt: skip
        third = others.deploy(3)
        assert asleep.wake() == "LeaseLost"
    answered = requests.get(f"{third.service.endpoint}/version", timeout=5).json()["version"]
    assert answered == "3"
    assert others.runtime.is_published(third.service)
