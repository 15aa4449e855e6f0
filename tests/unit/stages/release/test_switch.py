"""A version that ended or hangs is found before the switch, and in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from include.evergreen.contracts import RunningService
from include.evergreen.errors import ReleaseAborted, ReleaseRolledBack, Unavailable
from include.evergreen.stages.release import rollback
from include.evergreen.stages.resources import Resources
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import image_of, spec
from tests.unit.stages.release.fake_runtime import FakeRuntime
from tests.unit.stages.release.test_canary import Production, name, production

__all__ = ["production"]


def at_once(production: Production) -> Production:
    """The same production, where a version gets every request in one instant."""
    resources = Resources(
        spec(strategy="blue_green"), production.house.resources.settings, owner="a run"
    )
    resources.__dict__["runtime"] = production.runtime
    return Production(House(resources, production.house.folder), production.runtime, production.at)


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda p: setattr(p.runtime.of(2), "state", "stopped"), "it ended"),
        (lambda p: setattr(p.runtime.of(2), "silent", True), "it does not answer"),
    ],
    ids=["ended", "silent"],
)
def test_what_ended_or_hangs_since_it_was_proven_is_sent_no_request(
    production: Production, happens: Callable[[Production], None], why: str
) -> None:
    switching = at_once(production)
    proposal = switching.new(2, 1)
    happens(switching)
    with pytest.raises(ReleaseAborted, match=rf"v2 was not released: {why}\. v1 answers every"):
        switching.look(proposal)
    assert switching.shares() == [name(1)]
    assert switching.house.states() == [(1, "live"), (2, "failed")]
    assert list(switching.runtime.served) == [name(1)], "it is removed"


def test_silence_is_nobody_s_fault_while_the_gateway_is_started_anew(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    switching = at_once(production)
    proposal = switching.new(2, 1)
    switching.runtime.of(2).silent = True
    ways = iter(["a gateway", "another"])
    monkeypatch.setattr(switching.runtime, "way_to", lambda _: next(ways))
    with pytest.raises(Unavailable, match="was started anew while it was asked"):
        switching.look(proposal)
    assert switching.house.live() == 1


def test_what_falls_silent_in_the_very_switch_is_rolled_back_and_what_only_waits_is_not(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    switching = at_once(production)
    proposal, publish = switching.new(2, 1), FakeRuntime.publish
    monkeypatch.setattr(rollback, "prove", lambda *_: switching.proven(proposal).checks)
    before = dataclasses.replace(image_of(switching.house, 1), runtime="docker")
    switching.house.resources.ledger.record_image(before, switching.clock())

    def no_way(runtime: FakeRuntime, service: RunningService, **named: Any) -> RunningService:
        if service.name == name(2):
            raise Unavailable("v2 does not answer the gateway")
        return publish(runtime, service, **named)

    monkeypatch.setattr(FakeRuntime, "publish", no_way)
    with pytest.raises(Unavailable, match="is not answered by it yet"):
        switching.look(proposal)
    assert switching.house.states() == [(1, "spare"), (2, "live")], "it answers: the next try"
    switching.runtime.of(2).silent = True
    with pytest.raises(ReleaseRolledBack, match=r"v2 was rolled back: it does not answer\. v1"):
        switching.look(proposal)
    assert (switching.house.live(), switching.runtime.shares) == (1, {name(1): 1.0})
    assert switching.house.states() == [(1, "stopped"), (2, "stopped"), (1, "live")]


def test_a_first_version_that_falls_silent_in_the_switch_is_no_rollback(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    switching = at_once(production)
    ledger = switching.house.resources.ledger
    (live,) = ledger.deployments("rides", ["live"], "production")
    ledger.finish_deployment(live.id, "stopped", "it was retired", (), switching.clock())
    proposal = switching.new(2, None)

    def falls_silent(runtime: FakeRuntime, *_: Any, **__: Any) -> RunningService:
        runtime.of(2).silent = True
        raise Unavailable("v2 does not answer the gateway")

    monkeypatch.setattr(FakeRuntime, "publish", falls_silent)
    with pytest.raises(Unavailable, match="v2 does not answer the gateway"):
        switching.look(proposal)
    assert switching.house.states() == [(1, "stopped"), (2, "starting")]
    with pytest.raises(ReleaseAborted, match=r"it does not answer\. Nothing answers in production"):
        switching.look(proposal)
    assert switching.house.states() == [(1, "stopped"), (2, "failed")]
