"""What people and outages do in the middle of a release; only the runtime is faked."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

import pytest

from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import Check, Proposal, Return
from include.evergreen.errors import InputError, ReleaseAborted, ReleaseRolledBack, Unavailable
from include.evergreen.policy.journal import contents
from include.evergreen.policy.releasing import SLACK
from include.evergreen.stages.release import approval, propose, rollback, rollout, waiting, watch
from include.evergreen.stages.resources import Resources
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import image_of, live, register, spec, words
from tests.unit.stages.release.fake_runtime import FakeRuntime
from tests.unit.stages.release.test_canary import CANARY, Production, name
from tests.unit.stages.release.test_canary import production as production  # noqa: PLC0414


def go_back(production: Production, reason: str = "it looks odd") -> Return:
    resources = production.house.resources
    return rollback.choose_return(resources, None, reason, asked_by="admin")


def test_a_rollback_while_a_canary_is_under_way_ends_it_and_the_champion_stays(
    production: Production,
) -> None:
    proposal, resources = production.new(2, 1), production.house.resources
    production.look(proposal)
    wanted = go_back(production)
    assert (wanted.version, wanted.leaves) == (1, 2)
    assert rollback.put_back(resources, wanted, clock=production.clock).version == 1
    assert production.runtime.shares == {name(1): 1.0}
    assert production.house.states() == [(1, "live"), (2, "failed")], "no champion was thrown out"
    last = contents(resources.ledger.journal("rides")[-1].document)
    assert (last["kind"], last["actor"]) == ("aborted", {"kind": "person", "name": "admin"})
    assert last["why"] == "ended by hand: it looks odd"
    said = words(production.house)
    assert go_back(production) == wanted, "the same run once more"
    assert rollback.put_back(resources, wanted, clock=production.clock).version == 1
    assert words(production.house) == said
    with pytest.raises(ReleaseAborted, match="ended by hand: it looks odd"):
        production.look(proposal)


def test_a_version_that_is_not_there_ends_no_canary(production: Production) -> None:
    proposal, resources = production.new(2, 1), production.house.resources
    production.look(proposal)
    with pytest.raises(InputError, match="v9"):
        propose.choose_version(resources, 9, now=production.clock())
    assert rollout.under_way(resources) is not None


def test_another_image_of_the_live_version_is_no_release_that_was_begun(
    production: Production,
) -> None:
    resources = production.house.resources
    proposal = Proposal("rides", 1, image_of(production.house, 1), None, 1, "the test says so")
    rebuilt = dataclasses.replace(proposal.image, digest="sha256:another")
    assert approval.was_begun(resources, proposal)
    assert not approval.was_begun(resources, dataclasses.replace(proposal, image=rebuilt))


def away(*_: object) -> None:
    raise Unavailable("the engine does not answer")


def test_an_engine_that_is_away_is_no_word_on_a_canary(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    monkeypatch.setattr(FakeRuntime, "state", away)
    assert production.look(proposal) is None
    assert rollout.under_way(production.house.resources) is not None


@pytest.fixture
def watched(production: Production, monkeypatch: pytest.MonkeyPatch) -> Proposal:
    """A version that answers every request, and its watch is still to come."""
    monkeypatch.setattr(FakeRuntime, "splits", False)
    monkeypatch.setattr(watch, "fetch_bundle", lambda *_: None)
    monkeypatch.setattr(watch.golden, "recorded", lambda _: ([], {"prediction": [1.0]}))
    monkeypatch.setattr(watch.golden, "served", lambda *_: {"prediction": [1.0]})
    monkeypatch.setattr(rollback, "prove", lambda *_: (Check("healthy", True, "", ""),))
    old = production.house.resources
    image = dataclasses.replace(image_of(production.house, 1), runtime="docker")
    old.ledger.record_image(image, production.clock())
    asked = spec(strategy="canary", canary=CANARY, watch={"seconds": 7200, "max_p99_ms": 250})
    resources = Resources(asked, old.settings, owner="a run")
    resources.__dict__["runtime"] = production.runtime
    production.house = House(resources, production.house.folder)
    proposal = production.new(2, 1)
    assert production.look(proposal) is not None
    return proposal


def test_a_restart_between_two_slices_of_a_watch_is_seen(
    production: Production, watched: Proposal
) -> None:
    resources = production.house.resources
    assert watch.watch_release(resources, watched, clock=production.clock, slice_s=-1) is None
    production.runtime.of(2).restart()
    with pytest.raises(ReleaseRolledBack, match="was rolled back: it ended, and was started again"):
        watch.watch_release(resources, watched, clock=production.clock, slice_s=-1)
    assert production.house.live() == 1
    with pytest.raises(ReleaseRolledBack, match=r"v2 was rolled back to v1: .*started again; v1"):
        watch.watch_release(resources, watched, clock=production.clock)


def test_production_does_not_wait_for_a_registry_that_is_away_and_the_end_of_the_watch_does(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = production.house.resources
    monkeypatch.setattr(Registry, "version_info", away)
    wanted = go_back(production)
    assert rollback.put_back(resources, wanted, clock=production.clock).version == 1
    assert words(production.house)[-1] == ("rolled_back", 2)
    proposal = production.new(3, 1)
    assert production.look(proposal) is not None
    production.pass_s(7200)
    with pytest.raises(Unavailable):
        watch.watch_release(resources, proposal, clock=production.clock)
    monkeypatch.setattr(Registry, "version_info", lambda *_: None)
    moved: list[int] = []
    monkeypatch.setattr(Registry, "set_alias", lambda *what: moved.append(what[-1]))
    assert watch.watch_release(resources, proposal, clock=production.clock) is not None
    assert moved == [3]


def test_a_version_for_which_its_spare_answers_does_not_pass_its_watch(
    production: Production, watched: Proposal
) -> None:
    production.pass_s(86400)
    production.runtime.of(2).shut_out = True
    with pytest.raises(ReleaseRolledBack, match="the last 3 health probes failed"):
        watch.watch_release(production.house.resources, watched, clock=production.clock)
    assert production.house.live() == 1


def test_a_slow_version_is_rolled_back_although_few_requests_came_to_it(
    production: Production, watched: Proposal
) -> None:
    production.runtime.of(2).serve(15, slow=15)
    with pytest.raises(ReleaseRolledBack, match=r"of 15 took longer than the p99 of 250 ms"):
        watch.watch_release(production.house.resources, watched, clock=production.clock)


def test_a_watch_passes_only_while_somebody_can_be_asked_and_only_once(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = production.house.resources
    production.pass_s(86400)
    with monkeypatch.context() as patch:
        patch.setattr(FakeRuntime, "started_at", away)
        assert watch.watch_release(resources, watched, clock=production.clock, slice_s=-1) is None
    assert watch.watch_release(resources, watched, clock=production.clock) is not None
    said, told = words(production.house), len(production.events(2))
    production.runtime.of(2).restart()
    assert watch.watch_release(resources, watched, clock=production.clock) is not None
    assert (words(production.house), len(production.events(2))) == (said, told)


def test_a_watch_that_nobody_goes_on_with_wakes_release_soon(
    production: Production, watched: Proposal
) -> None:
    resources = production.house.resources
    production.pass_s(3600)
    assert watch.watch_release(resources, watched, clock=production.clock, slice_s=-1) is None
    ledger, second = resources.ledger, dt.timedelta(seconds=1)
    assert waiting.unseen(ledger, "rides", production.at)[0] == ""
    why, _ = waiting.unseen(ledger, "rides", production.at + SLACK + second)
    assert why == "the release that was begun did not end"


@pytest.mark.parametrize(
    ("happens", "goes_on"),
    [(lambda house: None, True), (lambda house: live(house, 1, "production"), False)],
    ids=["nothing", "another champion"],
)
def test_what_was_approved_and_not_started_is_not_asked_about_again(
    house: House, happens: Callable[[House], object], goes_on: bool
) -> None:
    register(house, 2, None)
    live(house, 2, "staging")
    first = house.propose()
    assert first is not None
    assert approval.approve(house.resources, first, now=house.now())
    register(house, 1, None)
    happens(house)
    assert (house.propose() == first) == goes_on


def test_nothing_waits_for_a_proposal_when_nothing_is_in_staging_any_more(house: House) -> None:
    register(house, 1, None)
    number = live(house, 1, "staging")
    assert house.propose() is not None
    ledger, late = house.resources.ledger, house.now() + dt.timedelta(days=30)
    ledger.finish_deployment(number, "stopped", "retired", (), house.now())
    assert waiting.unseen(ledger, "rides", late)[0] == "the release that was begun did not end"
    assert house.propose() is None
    assert waiting.unseen(ledger, "rides", late)[0] == ""
