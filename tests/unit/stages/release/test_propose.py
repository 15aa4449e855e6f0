"""What is proposed for production, by itself and by hand. No service runs here."""

from __future__ import annotations

import datetime as dt

import pytest

from include.evergreen.contracts import Actor
from include.evergreen.errors import ArtifactRefused, InputError, NotApproved
from include.evergreen.policy.releasing import Word
from include.evergreen.stages.release import approval, propose, waiting
from include.evergreen.stages.release.journal import journal
from tests.containers.conftest import House
from tests.unit.stages.release.conftest import live, register, words


@pytest.fixture(autouse=True)
def nothing_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger names services that are not there: settling would look for them."""
    monkeypatch.setattr(propose, "settle_deployments", lambda *_, **__: None)


def test_what_beat_the_champion_is_proposed_and_what_was_never_compared_is_not(
    house: House,
) -> None:
    register(house, 1, None)
    register(house, 2, None)
    register(house, 3, 1)
    live(house, 1, "staging")
    assert house.propose().replaces is None
    live(house, 1, "production")
    assert house.propose() is None, "it is in production already"
    live(house, 2, "staging")
    assert house.propose() is None
    last = house.resources.ledger.last_decision("rides", "release")
    assert last.verdict == "passed_over"
    assert last.reason == (
        "v2: it was judged against no champion, and v1 is the champion now: they were never "
        "compared"
    )
    asked = house.propose(2)
    assert (asked.version, asked.by_hand, asked.reason) == (2, True, "the test says so")
    number = live(house, 3, "staging")
    proposal = house.propose()
    assert (proposal.version, proposal.replaces, proposal.staged) == (3, 1, number)


def test_a_newer_staged_version_takes_the_place_of_one_that_waits_unless_asked_for_by_hand(
    house: House,
) -> None:
    register(house, 1, None)
    register(house, 2, None)
    live(house, 1, "staging")
    ledger = house.resources.ledger
    by_itself, by_hand = house.propose(), house.propose(1)
    assert propose.superseded_by(ledger, by_itself) is None
    live(house, 2, "staging")
    assert propose.superseded_by(ledger, by_itself) == 2
    assert propose.superseded_by(ledger, by_hand) is None
    assert not approval.approve(house.resources, by_itself, now=house.now())
    assert words(house)[-1] == ("superseded", 1)
    assert house.propose().version == 2


@pytest.mark.parametrize(
    ("word", "actor", "again"),
    [
        ("rejected", Actor("person", "reviewer"), False),
        ("expired", Actor("clock", "approval"), True),
        ("aborted", None, False),
    ],
)
def test_what_a_person_refused_is_not_proposed_again_and_what_the_clock_did_is(
    house: House, word: Word, actor: Actor | None, again: bool
) -> None:
    register(house, 1, None)
    live(house, 1, "staging")
    proposal = house.propose()
    journal(house.resources, word, proposal, "so it went", now=house.now(), actor=actor)
    day = house.now() + dt.timedelta(days=1, seconds=1)
    assert bool(waiting.unseen(house.resources.ledger, "rides", day)[0]) is again
    for _ in range(2):  # that it was passed over is no word that makes forget the one before
        assert (house.propose() is not None) is again
    assert house.propose(1) is not None


def test_nobody_is_released_against_the_word_on_approval(house: House) -> None:
    register(house, 1, None)
    live(house, 1, "staging")
    asked = house.with_spec(approval="required")
    proposal = asked.propose()
    with pytest.raises(NotApproved, match=r"v1 needs somebody's approval \(deployment.approval"):
        approval.approve(asked.resources, proposal, now=house.now())


def test_what_was_never_verified_is_not_released(house: House) -> None:
    with pytest.raises(InputError, match="v9 is not a version that was judged"):
        house.propose(9)
    register(house, 1, None)
    with pytest.raises(InputError, match="v1 was never verified in staging"):
        house.propose(1)
    assert house.propose() is None


def test_an_image_that_is_another_or_gone_is_not_released(house: House) -> None:
    register(house, 1, None)
    live(house, 1, "staging")
    ledger = house.resources.ledger
    image = ledger.image("rides", 1, "process")
    another = type(image).from_json({**image.as_json(), "digest": "sha256:another"})
    ledger.record_image(another, house.now())
    with pytest.raises(ArtifactRefused, match="as image sha256:1, and its image is sha256:another"):
        house.propose()
    ledger.record_image(image, house.now())
    house.runtime.discard(image.reference)
    with pytest.raises(ArtifactRefused, match=r"is not there any more\. Run rides\.deploy by hand"):
        house.propose()


def test_an_installation_from_before_production_releases_what_was_its_champion(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(house, 1, None)
    register(house, 2, 1)
    live(house, 1, "staging")
    live(house, 2, "staging")
    pointed_at = {"champion": 2}
    registry = type(house.resources.registry)
    monkeypatch.setattr(registry, "version_of", lambda _, __, alias: pointed_at[alias])
    proposal = house.propose()
    assert (proposal.version, proposal.replaces) == (2, None)
    pointed_at["champion"] = 5
    assert house.propose() is None, "never compared with v5"


def test_a_lost_event_and_a_release_that_did_not_end_wake(house: House) -> None:
    def unseen(after_s: float) -> str:
        now = house.now() + dt.timedelta(seconds=after_s)
        return waiting.unseen(house.resources.ledger, "rides", now)[0]

    register(house, 1, None)
    assert unseen(60) == ""
    number = live(house, 1, "staging")
    assert unseen(5) == "", "its event is on the way"
    assert unseen(60) == f"staging deployment {number} was not looked at yet"
    proposal = house.propose()
    assert unseen(60) == ""
    assert unseen(3600) == "the release that was begun did not end"
    reviewer = Actor("person", "reviewer")
    journal(house.resources, "rejected", proposal, "no", now=house.now(), actor=reviewer)
    assert unseen(3600) == ""
    again = live(house, 1, "staging")
    assert unseen(60) == f"staging deployment {again} was not looked at yet"
    assert house.propose() is None
    assert unseen(60) == "", "what is passed over was looked at, too"


def test_a_release_that_was_interrupted_after_its_switch_goes_on_without_being_asked_again(
    house: House,
) -> None:
    register(house, 1, None)
    live(house, 1, "staging")
    proposal = house.propose()
    now = house.now()
    journal(house.resources, "releasing", proposal, "it proved itself", now=now, until=now)
    live(house, 1, "production")
    for _ in range(2):  # also when it is interrupted once more
        assert house.propose() == proposal
        asked = house.with_spec(approval="required")
        assert approval.approve(asked.resources, proposal, now=house.now())
    assert words(house) == [("proposed", 1), ("releasing", 1)]
