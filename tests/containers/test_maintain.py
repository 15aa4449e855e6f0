"""On a real engine: what is ours and nothing needs goes; what is live or somebody else's stays."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from include.evergreen.adapters.runtime import open_runtime
from include.evergreen.adapters.runtime.interface import INSTALLATION
from include.evergreen.contracts import BuiltImage
from include.evergreen.errors import EvergreenError
from include.evergreen.policy.retention_facts import RetentionRules
from include.evergreen.stages.deploy.services import order_for
from include.evergreen.stages.maintain.maintain import Outcome, maintain
from include.evergreen.stages.maintain.parts import Installation

DAY = dt.timedelta(days=1)


def keeper(house: Any, later: dt.timedelta = 60 * DAY) -> Installation:
    rules = RetentionRules(30 * DAY)
    now = dt.datetime.now(dt.UTC) + later
    resources = house.resources
    return Installation(resources.settings, {"rides": resources.spec}, rules, now)


def named(outcome: Outcome, *kinds: str) -> set[tuple[str, str, str]]:
    found = {(d.action, d.thing.kind, d.thing.name) for d in outcome.done}
    return {one for one in found if one[1] in kinds}


@pytest.fixture
def networks(engine: Any) -> Iterator[Any]:
    made: list[str] = []

    def make(name: str, installation: str) -> str:
        made.append(engine.create_network(name, labels={INSTALLATION: installation})["Id"])
        return made[-1]

    yield make
    for network in engine.networks(ids=made) if made else []:
        engine.remove_network(network["Id"])


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_stray_containers_images_and_networks_go_and_the_live_one_answers_on(
    house: Any, networks: Any, tmp_path: Path
) -> None:
    runtime, settings = house.runtime, house.resources.settings
    house.deploy(1)
    live = house.deploy(2)
    standing = set(runtime.networks())
    assert len(standing) == 2
    first = house.built[0]

    orphan = runtime.start(order_for(house.resources, first, "staging"))
    ledger, then = house.resources.ledger, dt.datetime.now(dt.UTC) - dt.timedelta(days=9)
    number = ledger.begin_deployment("rides", 1, "staging", orphan.name, then)
    ledger.finish_deployment(number, "failed", "its start was interrupted", (), then)
    bundle = house.folder / "training-1" / "bundle"

    def build(where: Any, version: int) -> BuiltImage:
        image = where.build(
            bundle,
            model="rides",
            version=version,
            manifest_digest=first.manifest_digest,
            training_key="k",
        )
        house.built.append(image)
        return image

    interrupted = build(runtime, 77)
    elsewhere = dataclasses.replace(settings, home=tmp_path / "elsewhere")
    somebodys = build(open_runtime("docker", elsewhere), 78)
    networks("evergreen-test-stray", settings.installation_id)
    theirs = networks("evergreen-test-stray", "somebody")
    litter = {
        ("remove", "service", orphan.name),
        ("remove", "image", interrupted.reference),
        ("remove", "network", "evergreen-test-stray"),
    }
    kinds = ("service", "image", "network")

    young = maintain(keeper(house, dt.timedelta(0)), dry_run=True)
    assert named(young, *kinds) == set(), "younger than a run may take"
    assert named(maintain(keeper(house), dry_run=True), *kinds) == litter
    assert runtime.state(orphan) == "running", "a dry run removes nothing"
    assert named(maintain(keeper(house), dry_run=False), *kinds) == litter
    assert maintain(keeper(house), dry_run=False).done == []

    assert runtime.state(orphan) == "gone"
    assert not runtime.has(interrupted)
    house.built.remove(interrupted)
    assert runtime.has(first), "the version a rollback goes to"
    assert runtime.has(somebodys), "another installation's"
    assert set(runtime.networks()) == standing, "those that the live one is behind"
    assert house.runtime._engine.networks(ids=[theirs]), "another installation's, of that name"
    assert requests.get(f"{live.service.endpoint}/ping", timeout=5).status_code == 200


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_the_engine_itself_keeps_an_image_and_a_network_that_are_in_use(house: Any) -> None:
    live = house.deploy(1)
    with pytest.raises(EvergreenError, match="refused to remove the image"):
        house.runtime.discard(house.built[0].reference)
    assert house.runtime.state(live.service) == "running"
    for network in house.runtime.networks():
        with pytest.raises(EvergreenError, match="1 services are behind it"):
            house.runtime.remove_network(network)
    house.runtime.discard("evergreen/model:gone-already")
    house.runtime.remove_network("gone-already")


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_a_gateway_that_was_removed_is_found_missing_and_made_again(house: Any) -> None:
    live = house.deploy(1)
    house.runtime._gateway.remove()
    found = maintain(keeper(house, dt.timedelta(0)), dry_run=False)
    assert {(d.action, d.thing.state) for d in found.done if d.thing.kind == "deployment"} == {
        ("finish", "live, and clients are not sent to it")
    }
    assert requests.get(f"{live.service.endpoint}/ping", timeout=5).status_code == 200


@pytest.mark.parametrize("house", ["docker"], indirect=True)
def test_a_gateway_with_nobody_behind_it_goes_with_its_networks(house: Any) -> None:
    image = house.build(house.register(1))
    candidate = house.runtime.start(order_for(house.resources, image, "staging"))
    house.runtime.remove(candidate, grace_s=1)
    networks = set(house.runtime.networks())
    done = named(maintain(keeper(house), dry_run=False), "network")
    assert done == {("remove", "network", name) for name in networks}
    assert house.runtime.networks() == {}
    assert house.runtime._gateway._inspect() is None
