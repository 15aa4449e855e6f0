"""Whom clients of production are sent to, and through which door; only the runtime is faked."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator

import pytest

from include.evergreen.adapters.runtime import PATIENCE_S, DoorSettings
from include.evergreen.contracts import Deployment, Proposal
from include.evergreen.errors import LeaseLost, SettingsError, Unsupported
from include.evergreen.fencing import still_ours
from include.evergreen.stages.deploy import services, settle, traffic
from include.evergreen.stages.maintain.services import _how_clients_lag
from include.evergreen.stages.release import rollback, rollout, start, switch
from include.evergreen.stages.release.stand import stand_of
from include.evergreen.stages.resources import Resources
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import image_of, spec
from tests.unit.stages.release.fake_runtime import FakeRuntime, serving
from tests.unit.stages.release.test_canary import CANARY, Production, name

TOKEN = "a-token-that-nobody-guesses"
DOOR = DoorSettings(token=TOKEN)


@pytest.fixture
def production(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Production]:
    with serving() as runtime:
        monkeypatch.setattr(services, "runtime_of", lambda *_: runtime)
        monkeypatch.setattr(settle, "anchor_entries", lambda *_, **__: None)
        asked = spec(strategy="canary", canary=CANARY)
        found = Production(House(Resources(asked, house.resources.settings), house.folder), runtime)
        found.house.resources.__dict__["runtime"] = runtime
        found.champion(1)
        image = dataclasses.replace(image_of(house, 1), runtime="docker")
        house.resources.ledger.record_image(image, found.clock())  # it can be started again
        runtime.done.clear()
        yield found


def with_door(production: Production, token: str = TOKEN) -> Production:
    """The same production after its spec got a door; `token`: what this installation has for it."""
    old = production.house.resources
    asked = spec(strategy="canary", canary=CANARY, door={"token": True})
    settings = dataclasses.replace(old.settings, serving_token=token)
    resources = Resources(asked, settings, owner=old.owner)
    resources.__dict__["runtime"] = production.runtime
    house = House(resources, production.house.folder)
    return Production(house, production.runtime, production.at)


def settled(production: Production) -> None:
    resources = production.house.resources
    settle.settle_deployments(resources, "production", now=production.clock())


def switched(production: Production, proposal: Proposal) -> Deployment:
    return switch.send_everything(
        production.house.resources, proposal, production.proven(proposal), clock=production.clock
    )


def test_the_spare_stands_in_until_it_is_let_go_and_only_then_is_removed(
    production: Production,
) -> None:
    runtime = production.runtime
    switched(production, production.new(2, 1))
    assert (runtime.shares, runtime.spare) == ({name(2): 1.0}, name(1))
    settled(production)
    assert runtime.spare == name(1), "settling takes it from nobody"
    runtime.of(1).state = "stopped"
    settled(production)
    assert runtime.spare == "", "one that does not run stands in for nobody"
    runtime.of(1).state = "running"
    settled(production)
    assert runtime.spare == name(1)
    production.house.resources.ledger.let_spare_go("rides", "production")
    settled(production)
    assert (runtime.shares, runtime.spare) == ({name(2): 1.0}, "")
    assert runtime.done[-1] == ("remove", name(1))
    assert runtime.taken_away == []


def test_where_nothing_could_ask_a_spare_the_release_does_without(
    production: Production, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(FakeRuntime, "splits", False)
    with caplog.at_level(logging.INFO):
        switched(production, production.new(2, 1))
    assert production.runtime.shares == {name(2): 1.0}
    assert production.house.states() == [(1, "spare"), (2, "live")]
    assert f"{name(1)} stays warm; nothing could ask it if {name(2)} ended" in caplog.text


def test_settling_leaves_clients_divided_while_both_versions_run(production: Production) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    production.runtime.done.clear()
    settled(production)
    assert production.runtime.done == []
    assert production.runtime.shares == {name(1): 0.9, name(2): 0.1}
    stand = stand_of(production.house.resources, 2)
    over = dataclasses.replace(stand, step=len(stand.shares))
    rollout.advance(
        production.house.resources, proposal, over, "all of them are next", now=production.clock()
    )
    settled(production)
    assert production.runtime.done == [], "between the last step and the switch no share goes back"


@pytest.mark.parametrize(
    "happens",
    [
        lambda p: setattr(p.runtime.of(2), "state", "stopped"),
        lambda p: setattr(p.runtime.of(1), "state", "stopped"),
        lambda p: p.runtime.shares.pop(name(1)),
        lambda p: p.runtime.shares.update({name(3): 0.1}),
        lambda p: rollout.renew(
            p.house.resources,
            Proposal("rides", 2, image_of(p.house, 2), None, 1, ""),
            dataclasses.replace(stand_of(p.house.resources, 2), ends="it was slow"),
            now=p.clock(),
        ),
    ],
    ids=["challenger dead", "champion dead", "not divided", "by another", "ended"],
)
def test_settling_sends_all_to_the_champion_where_they_are_not_to_be_divided(
    production: Production, happens: Callable[[Production], None]
) -> None:
    production.look(production.new(2, 1))
    happens(production)
    settled(production)
    assert production.runtime.shares == {name(1): 1.0}
    assert production.runtime.of(1).state == "running"


def test_who_wakes_without_its_lease_sends_clients_to_what_is_live_and_leaves_a_split(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, resources = production.runtime, production.house.resources
    proposal = production.new(2, 1)
    challenger = production.proven(proposal).service
    live = resources.ledger.deployment("rides", "production").service

    def too_late(*_: object) -> None:
        still_ours()
        raise LeaseLost("another run has taken over")

    with monkeypatch.context() as asleep:
        asleep.setattr(traffic, "_stand_at_the_door", too_late)
        runtime.shares = {challenger.name: 1.0}
        with pytest.raises(LeaseLost):
            traffic.publish(resources, "production", challenger)
        assert runtime.shares == {name(1): 1.0}
        production.look(proposal)
        with pytest.raises(LeaseLost):
            traffic.publish(resources, "production", live)
    assert runtime.shares == {name(1): 0.9, name(2): 0.1}


def test_who_answers_has_ten_times_its_p99_before_another_is_asked(production: Production) -> None:
    asked = production.house.resources.spec.deployment.service_levels.p99_ms
    production.look(production.new(2, 1))
    assert production.runtime.patience_s == pytest.approx(asked / 100)
    production.runtime.patience_s = 0
    production.runtime.of(2).state = "stopped"
    settled(production)
    assert production.runtime.patience_s == pytest.approx(asked / 100)
    assert traffic.patience_s(spec(service_levels={"p99_ms": 10})) == PATIENCE_S


def test_a_door_is_shut_before_a_client_is_sent_and_follows_the_spec(
    production: Production,
) -> None:
    guarded = with_door(production)
    guarded.look(guarded.new(2, 1))
    before = [what for what, _ in guarded.runtime.done]
    settled(guarded)
    assert guarded.runtime.door == DOOR, "also while clients are divided"
    assert before == ["split"]
    guarded.runtime.done.clear()
    settled(production)
    assert production.runtime.done == [("guard", DoorSettings())]
    production.runtime.of(2).state = "stopped"
    settled(guarded)
    assert [what for what, _ in guarded.runtime.done[1:]] == ["guard", "publish"]


def test_without_what_its_door_needs_nothing_is_released_and_who_is_let_in_stays(
    production: Production, caplog: pytest.LogCaptureFixture
) -> None:
    poor = with_door(production, token="")
    proposal = production.approved(Proposal("rides", 2, image_of(production.house, 2), None, 1, ""))
    with pytest.raises(SettingsError, match=r"door\.token is on, and .* is empty") as refused:
        start.start_in_production(poor.house.resources, proposal, now=poor.clock())
    assert not refused.value.retryable
    assert poor.runtime.done == []
    assert poor.house.states() == [(1, "live")]

    settled(poor)
    assert "The door of rides is as it was, for who is let in now is let in already" in caplog.text
    assert poor.runtime.shares == {name(1): 1.0}
    poor.runtime.shares, poor.runtime.done = {}, []
    settled(poor)
    assert "Clients are not sent to rides v1 yet: deployment.door.token is on" in caplog.text
    assert poor.runtime.done == [], "nobody is let in who was not before"


def test_plain_processes_refuse_a_door_and_answer_nobody_without_it(
    production: Production, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    guarded = with_door(production)
    guarded.runtime.of(1).state = "stopped"
    monkeypatch.setattr(FakeRuntime, "splits", False)
    proposal = production.approved(Proposal("rides", 2, image_of(production.house, 2), None, 1, ""))
    resources = guarded.house.resources
    with pytest.raises(Unsupported, match="there is no door"):
        start.start_in_production(resources, proposal, now=guarded.clock())
    settled(guarded)
    assert "rides v1 cannot be looked after now: there is no door" in caplog.text
    assert guarded.runtime.of(1).state == "stopped"
    switched(production, production.new(2, 1))
    production.runtime.done.clear()
    wanted = rollback.choose_return(resources, None, "back")
    with pytest.raises(Unsupported, match="there is no door"):
        rollback.put_back(resources, wanted, clock=guarded.clock)
    assert guarded.runtime.done == []


def test_a_door_that_is_another_than_the_specs_is_found_by_maintain(
    production: Production, caplog: pytest.LogCaptureFixture
) -> None:
    guarded, resources = with_door(production), production.house.resources
    (record,) = resources.ledger.deployments("rides", ["live"], "production")

    def lags(of: Production) -> str:
        return _how_clients_lag(of.house.resources, record, record.service)

    assert lags(production) == ""
    assert lags(guarded) == "live, and its door is not as the spec says"
    settled(guarded)
    assert lags(guarded) == ""
    assert lags(with_door(production, token="")) == "", "it could not be made right"
    assert "The door of rides is left as it is: deployment.door.token is on" in caplog.text
