"""A canary goes from step to step, back at once, or on where it was; only the runtime is faked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from include.evergreen.adapters.ledger import Ledger
from include.evergreen.contracts import Check, Deployment, Proposal, Verification
from include.evergreen.errors import LeaseLost, ReleaseAborted
from include.evergreen.stages.deploy import services, settle
from include.evergreen.stages.release import (
    approval,
    evidence,
    on_card,
    propose,
    rollout,
    start,
    strategies,
)
from include.evergreen.stages.release.journal import say_of
from include.evergreen.stages.resources import Resources
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import image_of, register, spec
from tests.unit.stages.release.fake_runtime import Died, FakeRuntime, serving

WINDOW_S, DEADLINE_S = 10.0, 300.0
CANARY = {
    "steps": [0.1, 0.5], "window_s": WINDOW_S, "min_requests": 50, "deadline_s": DEADLINE_S,
}  # fmt: skip
#: A look that ends a canary: what it does, in this order, settling last.
ABORT = (
    "split", "record_decision", "publish", "remove", "finish_deployment", "record_decision",
    "publish",
)  # fmt: skip
MARKED = (
    (Ledger, "record_decision"),
    (Ledger, "finish_deployment"),
    (FakeRuntime, "split"),
    (FakeRuntime, "publish"),
    (FakeRuntime, "keep"),
    (FakeRuntime, "remove"),
)


@dataclass
class Production:
    """Production of one model: a champion, a challenger beside it, and a clock of the test's."""

    house: House
    runtime: FakeRuntime
    at: dt.datetime = field(default_factory=lambda: dt.datetime(2024, 5, 2, tzinfo=dt.UTC))

    def clock(self) -> dt.datetime:
        self.at += dt.timedelta(milliseconds=1)
        return self.at

    def pass_s(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)

    def new(self, version: int, replaces: int | None) -> Proposal:
        """A version that has proven itself beside what answers."""
        register(self.house, version, replaces)
        image = image_of(self.house, version)
        ledger = self.house.resources.ledger
        ledger.record_image(image, self.clock())
        service = self.runtime.add(image)
        number = ledger.begin_deployment("rides", version, "production", service.name, self.clock())
        ledger.record_service(number, service, self.clock())
        return self.approved(Proposal("rides", version, image, None, replaces, "the test says so"))

    def approved(self, proposal: Proposal) -> Proposal:
        """The proposal, which the ledger lets in."""
        say_of(
            self.house.resources, "approved", proposal, "by the test",
            now=self.clock(), until=None, details={},
        )  # fmt: skip
        return proposal

    def proven(self, proposal: Proposal) -> Verification:
        service = self.runtime.service(proposal.image)
        return Verification(
            "rides", proposal.version, service, (Check("golden_rows", True, "0", "0"),)
        )

    def champion(self, version: int) -> None:
        proposal = self.new(version, None)
        ledger = self.house.resources.ledger
        (record,) = ledger.deployments("rides", ["starting"], "production")
        ledger.finish_deployment(record.id, "live", "released", (), self.clock())
        self.runtime.publish(self.runtime.service(proposal.image))

    def look(self, proposal: Proposal) -> Deployment | None:
        """One look, by a task that knows nothing but the ledger."""
        old = self.house.resources
        resources = Resources(old.spec, old.settings, owner=old.owner)
        resources.__dict__["runtime"] = self.runtime
        proven = self.proven(proposal)
        return strategies.shift_traffic(resources, proposal, proven, clock=self.clock)

    def serve(self, version: int, good: int = 100, **how: Any) -> None:
        self.runtime.of(version).serve(good, **how)

    def through_a_window(self, *versions: int) -> None:
        for version in versions:
            self.serve(version)
        self.pass_s(WINDOW_S)

    def events(self, version: int) -> list[str]:
        """Of the journal, without what tells a proposal or a deployment from every other one."""
        links = self.house.resources.ledger.journal("rides")
        told = [link.event.split(":") for link in links if f":v{version}:" in link.event]
        return [":".join([*event[:2], *event[3:]]) for event in told]

    def shares(self) -> list[Any]:
        """What clients were divided by, or whom they were sent to, each change once."""
        moves = [what for name, what in self.runtime.done if name in {"split", "publish"}]
        return [what for n, what in enumerate(moves) if n == 0 or moves[n - 1] != what]


def name(version: int) -> str:
    return f"evergreen-rides-v{version}-production-00000000"


@pytest.fixture
def production(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Production]:
    with serving() as runtime:
        monkeypatch.setattr(services, "runtime_of", lambda *_: runtime)
        monkeypatch.setattr(settle, "anchor_entries", lambda *_, **__: None)  # no run is in MLflow
        monkeypatch.setattr(on_card, "add_decisions", lambda *_: None)
        asked = spec(strategy="canary", canary=CANARY)
        resources = Resources(asked, house.resources.settings, owner="a run")
        resources.__dict__["runtime"] = runtime
        found = Production(House(resources, house.folder), runtime)
        found.champion(1)
        runtime.done.clear()
        yield found


def test_each_step_has_its_window_and_after_the_last_one_it_is_the_champion(
    production: Production,
) -> None:
    proposal = production.new(2, 1)
    production.serve(2, 500, failures=50)  # its load test: before it was sent a request
    assert production.look(proposal) is None
    assert production.shares() == [(0.9, 0.1)]
    production.through_a_window(1)
    assert production.look(proposal) is None, "nothing is known of the new one: not yet"
    production.serve(2)
    assert production.look(proposal) is None, "the next step begins"
    assert production.shares() == [(0.9, 0.1), (0.5, 0.5)]
    production.serve(1)
    production.serve(2)
    production.pass_s(WINDOW_S / 2)
    assert production.look(proposal) is None, "its window is not over"
    production.pass_s(WINDOW_S / 2)
    deployed = production.look(proposal)
    assert deployed is not None
    assert deployed.version == 2
    assert production.shares() == [(0.9, 0.1), (0.5, 0.5), name(2)]
    assert production.house.states() == [(1, "spare"), (2, "live")], "as blue_green leaves it"
    assert production.events(2) == [
        "advanced:v2:step 1", "advanced:v2:step 2", "advanced:v2:step 3", "released:v2",
    ]  # fmt: skip
    assert production.look(proposal) == deployed, "repeated, it finds itself done"


def test_it_goes_at_once_when_it_fails_and_that_is_told_after_clients_are_safe(
    production: Production,
) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    production.serve(1)
    production.serve(2, 60, refusals=9)
    with pytest.raises(
        ReleaseAborted, match=r"(?s)v2 was not released: step 1 of 2.*9 of 69"
    ) as no:
        production.look(proposal)
    assert "v1 answers every request as before" in str(no.value)
    assert not no.value.retryable
    effects = [what for what in production.runtime.done if what[0] != "split"]
    assert effects[:2] == [("publish", name(1)), ("remove", name(2))]
    assert production.house.states() == [(1, "live"), (2, "failed")]
    assert production.events(2)[-1] == "aborted:v2"
    count = len(production.events(2))
    with pytest.raises(ReleaseAborted, match="9 of 69"):
        production.look(proposal)
    assert len(production.events(2)) == count
    assert production.runtime.shares == {name(1): 1.0}


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (lambda p: setattr(p.runtime.of(2), "state", "stopped"), "it ended"),
        (lambda p: setattr(p.runtime.of(2), "silent", True), "it does not answer"),
        (lambda p: p.runtime.of(2).restart(), "it ended, and was started again"),
        (lambda p: p.pass_s(DEADLINE_S), r"the deadline of 300 s for all steps is over"),
        (lambda p: (p.serve(2, bucket=2), p.serve(1), p.pass_s(WINDOW_S)), "predictions are"),
        (lambda p: (p.serve(2, slow=90), p.serve(1), p.pass_s(WINDOW_S)), "p99"),
    ],
    ids=["ended", "silent", "restarted", "deadline", "shifted", "slow"],
)
def test_what_ends_a_canary(
    production: Production, happens: Callable[[Production], None], why: str
) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    happens(production)
    with pytest.raises(ReleaseAborted, match=why):
        production.look(proposal)
    assert production.runtime.shares == {name(1): 1.0}
    assert production.house.live() == 1


@pytest.mark.parametrize(
    "happens",
    [
        lambda p: None,
        lambda p: p.pass_s(WINDOW_S),
        lambda p: (p.serve(2, 30), p.serve(1), p.pass_s(WINDOW_S)),
        lambda p: (p.serve(2, 99, failures=2), p.serve(1), p.pass_s(WINDOW_S)),
        lambda p: (p.runtime.of(1).restart(), p.serve(2), p.pass_s(WINDOW_S)),
        lambda p: (p.serve(1), p.serve(2), setattr(p.runtime.of(1), "silent", True)),
    ],
    ids=["at once", "no requests", "too few", "may be chance", "champion anew", "champion silent"],
)
def test_what_is_not_yet(production: Production, happens: Callable[[Production], None]) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    happens(production)
    assert production.look(proposal) is None
    stand = rollout.stand_of(production.house.resources, 2)
    assert stand is not None
    assert stand.step == 0
    assert production.shares() == [(0.9, 0.1)]


def test_another_run_goes_on_with_it_unasked_and_unproven_again(production: Production) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    resources, now = production.house.resources, production.clock()
    again = propose.choose_version(resources, None, now=now)
    assert again == proposal
    assert propose.choose_version(resources, 2, now=now) == proposal
    assert approval.approve(resources, again, now=now)
    assert evidence.question(resources, again) is None
    assert approval.why_not_approved(resources, again) == ""
    assert start.start_in_production(resources, again, now=now) == production.proven(proposal)
    assert not [event for event in production.events(2) if event.startswith("approved")]
    stood = rollout.stand_of(resources, 2)
    assert production.look(again) is None
    assert rollout.stand_of(resources, 2) == stood, "its window goes on"


def test_a_champion_that_changes_under_a_canary_ends_it(production: Production) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    other = production.new(3, 1)
    ledger = production.house.resources.ledger
    record = ledger.deployments("rides", ["starting"], "production")[0]
    ledger.finish_deployment(record.id, "live", "by hand", (), production.clock())
    production.runtime.done.clear()
    rollout.end_overtaken(production.house.resources, None, clock=production.clock)
    assert rollout.under_way(production.house.resources) is None
    assert production.runtime.shares == {name(other.version): 1.0}
    assert ("remove", name(2)) in production.runtime.done
    with pytest.raises(ReleaseAborted, match="compared with v1, and v3 answers"):
        production.look(proposal)
    with pytest.raises(LeaseLost):
        production.look(production.new(4, 1))


@pytest.mark.parametrize("wanted", [None, 2, 9])
def test_only_another_version_asked_for_by_hand_ends_it(
    production: Production, wanted: int | None
) -> None:
    production.look(production.new(2, 1))
    rollout.end_overtaken(production.house.resources, wanted, clock=production.clock)
    assert (rollout.under_way(production.house.resources) is None) == (wanted == 9)


def test_where_it_is_not_possible_all_requests_go_at_once_and_it_is_told(
    production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRuntime, "splits", False)
    deployed = production.look(production.new(2, 1))
    assert deployed is not None
    assert production.shares() == [name(2)]
    assert production.events(2) == ["advanced:v2:at once", "released:v2"]
    ledger = production.house.resources.ledger
    (told,) = [d for d in ledger.decisions_of("rides", "release") if d.verdict == "at_once"]
    assert "plain processes" in told.reason


def test_a_first_version_has_nothing_to_be_compared_with(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as runtime:
        monkeypatch.setattr(services, "runtime_of", lambda *_: runtime)
        monkeypatch.setattr(settle, "anchor_entries", lambda *_, **__: None)
        monkeypatch.setattr(on_card, "add_decisions", lambda *_: None)
        resources = Resources(spec(strategy="canary"), house.resources.settings, owner="a run")
        production = Production(House(resources, house.folder), runtime)
        assert production.look(production.new(1, None)) is not None
        told = [link.document for link in resources.ledger.journal("rides")]
        assert any("no version answers in production that it could be" in line for line in told)


def mortal(monkeypatch: pytest.MonkeyPatch, dies_at: int) -> list[str]:
    """Every effect is listed; before the one of this number the process dies, once."""
    passed: list[str] = []

    def wrap(owner: type, effect: str) -> None:
        true = getattr(owner, effect)

        def once(self: Any, *args: Any, **kwargs: Any) -> Any:
            passed.append(effect)
            if len(passed) == dies_at:
                raise Died
            return true(self, *args, **kwargs)

        monkeypatch.setattr(owner, effect, once)

    for owner, effect in MARKED:
        wrap(owner, effect)
    return passed


def rollout_to_the_end(production: Production, proposal: Proposal, *, broken: bool) -> str:
    """Look after look, each after a death by another task; how it ended."""
    version = proposal.version
    old = production.house.live()
    for _ in range(12):
        try:
            if production.look(proposal) is not None:
                return "live"
        except ReleaseAborted:
            return "aborted"
        except Died:
            continue
        production.serve(old)
        production.serve(version, 60, failures=20 if broken else 0)
        production.serve(version, 40)
        production.pass_s(WINDOW_S)
    return "no end"


@pytest.mark.slow
@pytest.mark.parametrize("broken", [False, True])
def test_a_death_between_any_two_effects_neither_loses_a_step_nor_takes_one_twice(
    production: Production, broken: bool
) -> None:
    proposal = production.new(2, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "runtime_of", lambda *_: production.runtime)
        effects = mortal(patch, 0)
        assert rollout_to_the_end(production, proposal, broken=broken) in {"live", "aborted"}
    for number in range(1, len(effects) + 1):
        version = number + 2
        old = production.house.live()
        production.runtime.done.clear()
        proposal = production.new(version, old)
        with pytest.MonkeyPatch.context() as patch:
            mortal(patch, number)
            ended = rollout_to_the_end(production, proposal, broken=broken)
        assert ended == ("aborted" if broken else "live"), (number, effects[number - 1])
        shares = [what for what in production.shares() if what != name(old)]
        wanted = [(0.9, 0.1)] if broken else [(0.9, 0.1), (0.5, 0.5), name(version)]
        assert shares == wanted, (number, effects[number - 1])
        assert production.house.live() == (old if broken else version)
        events = production.events(version)
        assert len(events) == len(set(events))
        assert (f"aborted:v{version}" in events) == broken
        assert production.runtime.taken_away == [], "clients are told before a service goes"
        assert rollout.stand_of(production.house.resources, version) is None or not broken


@pytest.mark.parametrize("dies_at", range(1, len(ABORT) + 1))
def test_an_abort_that_dies_anywhere_is_ended_by_the_next_run(
    production: Production, dies_at: int
) -> None:
    proposal = production.new(2, 1)
    production.look(proposal)
    production.serve(1)
    production.serve(2, 60, refusals=9)
    with pytest.MonkeyPatch.context() as patch:
        passed = mortal(patch, dies_at)
        with pytest.raises((Died, ReleaseAborted)):
            production.look(proposal)
    assert tuple(passed) == ABORT[:dies_at]
    resources = production.house.resources
    again = propose.choose_version(resources, None, now=production.clock())
    if again is not None:
        assert approval.approve(resources, again, now=production.clock())
        start.start_in_production(resources, again, now=production.clock())
        with pytest.raises(ReleaseAborted, match="9 of 69"):
            production.look(again)
    assert production.runtime.shares == {name(1): 1.0}
    assert list(production.runtime.served) == [name(1)]
    assert production.house.states() == [(1, "live"), (2, "failed")]
    assert production.events(2).count("aborted:v2") == 1
