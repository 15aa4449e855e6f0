"""Each guard of the watch and of a rollback stops what it is for; only the runtime is faked."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from include.evergreen.contracts import Check, Proposal, RunningService
from include.evergreen.errors import (
    ArtifactRefused,
    InputError,
    LeaseLost,
    ReleaseRolledBack,
    VerificationFailed,
)
from include.evergreen.stages.release import rollback, rollout, stand, watch
from tests.unit.stages.release.conftest import words
from tests.unit.stages.release.fake_runtime import FakeRuntime
from tests.unit.stages.release.test_canary import Production, name
from tests.unit.stages.release.test_canary import production as production  # noqa: PLC0414
from tests.unit.stages.release.test_interrupted import away, go_back
from tests.unit.stages.release.test_interrupted import watched as watched  # noqa: PLC0414

WRONG = (Check("golden_rows", False, "9", "0"),)


# --- the watch ----------------------------------------------------------------------------------


def test_a_watch_that_is_over_ends_with_a_look_and_not_with_an_older_one(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = FakeRuntime.started_at

    def once(runtime: FakeRuntime, service: RunningService) -> dt.datetime | None:
        monkeypatch.setattr(FakeRuntime, "started_at", away)
        return seen(runtime, service)

    monkeypatch.setattr(FakeRuntime, "started_at", once)
    now = production.clock()
    first_look = iter([now, now])

    def clock() -> dt.datetime:
        return next(first_look, now + dt.timedelta(days=1))

    resources = production.house.resources
    assert watch.watch_release(resources, watched, clock=clock, slice_s=1) is None
    assert ("released", 2) not in words(production.house)


def test_a_watch_does_not_end_with_golden_rows_that_were_wrong(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch.golden, "served", lambda *_: {"prediction": [2.0]})
    production.pass_s(86400)
    with pytest.raises(ReleaseRolledBack, match="golden rows are answered otherwise"):
        watch.watch_release(production.house.resources, watched, clock=production.clock)


def test_a_gateway_that_is_started_anew_is_no_word_against_the_version(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = itertools.count()
    monkeypatch.setattr(FakeRuntime, "way_to", lambda *_: str(next(ways)))
    production.runtime.of(2).shut_out = True
    resources = production.house.resources
    assert watch.watch_release(resources, watched, clock=production.clock, slice_s=2) is None
    assert production.house.live() == 2


def test_a_watch_does_not_end_a_release_that_was_rolled_back_in_that_moment(
    production: Production, watched: Proposal
) -> None:
    resources = production.house.resources
    rollback.put_back(resources, go_back(production), clock=production.clock)
    assert watch._conclude(resources, watched, "it was well", production.clock) is None
    assert ("released", 2) not in words(production.house)
    assert production.house.live() == 1


def test_a_watch_judges_only_what_was_asked_since_the_release(
    production: Production, watched: Proposal
) -> None:
    production.pass_s(86400)
    assert watch.watch_release(production.house.resources, watched, clock=production.clock)
    proposal = production.new(3, 2)
    production.runtime.of(3).serve(0, failures=500)  # whoever proved it may have asked nonsense
    assert production.look(proposal) is not None
    production.pass_s(86400)
    assert watch.watch_release(production.house.resources, proposal, clock=production.clock)
    assert production.house.live() == 3


# --- a rollback ---------------------------------------------------------------------------------


def test_who_names_a_version_ends_no_canary_and_is_told_that_it_answers(
    production: Production,
) -> None:
    resources = production.house.resources
    production.look(production.new(2, 1))
    with pytest.raises(InputError, match="v1 answers in production already"):
        rollback.choose_return(resources, 1, "it looks odd")
    assert rollout.under_way(resources) is not None


def test_a_rollback_that_was_overtaken_by_a_release_changes_nothing(
    production: Production, watched: Proposal
) -> None:
    resources, wanted = production.house.resources, go_back(production)
    production.pass_s(86400)
    assert watch.watch_release(resources, watched, clock=production.clock)
    assert production.look(production.new(3, 2)) is not None
    with pytest.raises(LeaseLost, match="v3 answers by now"):
        rollback.put_back(resources, wanted, clock=production.clock)
    assert production.runtime.shares == {name(3): 1.0}


def test_a_version_that_does_not_prove_itself_is_not_put_back(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback, "prove", lambda *_: WRONG)
    with pytest.raises(VerificationFailed, match="golden_rows"):
        rollback.put_back(production.house.resources, go_back(production), clock=production.clock)
    assert production.runtime.shares == {name(2): 1.0}
    assert production.runtime.of(1).state == "running", "the spare goes on standing by"


def test_a_spare_that_ended_is_started_again_and_does_not_stay_if_it_fails(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources, spare = production.house.resources, production.runtime.of(1)
    spare.state = "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(rollback, "prove", lambda *_: WRONG)
        with pytest.raises(VerificationFailed):
            rollback.put_back(resources, go_back(production), clock=production.clock)
    assert name(1) not in production.runtime.served, "it is removed again"
    assert rollback.put_back(resources, go_back(production), clock=production.clock).version == 1
    assert production.runtime.of(1).state == "running"


def test_a_spare_that_ended_is_not_taken_for_a_warm_one(
    production: Production, watched: Proposal
) -> None:
    resources = production.house.resources
    production.runtime.of(1).state = "stopped"
    assert rollback.put_back(resources, go_back(production), clock=production.clock).version == 1
    assert production.runtime.of(1).state == "running"


def test_a_version_whose_image_is_gone_is_not_tried(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeRuntime, "has", lambda *_: False)
    production.runtime.of(1).state = "stopped"
    with pytest.raises(ArtifactRefused, match="was removed, and it does not run any more"):
        rollback.put_back(production.house.resources, go_back(production), clock=production.clock)
    assert production.runtime.shares == {name(2): 1.0}


def test_a_strategy_that_has_sent_everything_to_its_version_is_not_on_its_way(
    production: Production, watched: Proposal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run died after the switch, before it said so."""
    told = stand.Stand("canary", production.proven(watched), production.clock().isoformat())
    monkeypatch.setattr(rollback, "under_way", lambda _: stand.UnderWay(watched, told, "a step"))
    wanted = go_back(production)
    assert (wanted.version, wanted.leaves) == (1, 2)


def test_a_rollback_repeated_later_leaves_the_next_canary_alone(production: Production) -> None:
    resources = production.house.resources
    production.look(production.new(2, 1))
    wanted = go_back(production)
    assert rollback.put_back(resources, wanted, clock=production.clock).version == 1
    production.look(production.new(3, 1))
    assert rollback.put_back(resources, wanted, clock=production.clock).version == 1
    begun = rollout.under_way(resources)
    assert begun is not None
    assert begun.proposal.version == 3
