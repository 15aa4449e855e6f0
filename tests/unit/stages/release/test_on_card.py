"""Cards are told what the journal has, and what keeps them from it stops no release."""

from __future__ import annotations

import json
import logging

import pytest

from include.evergreen import effects
from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import Actor, Candidate, Judgement
from include.evergreen.effects import FailpointReached
from include.evergreen.errors import Unavailable
from include.evergreen.stages.release import approval, propose
from include.evergreen.stages.release.journal import told
from include.evergreen.stages.release.on_card import tell_cards
from include.evergreen.stages.training.card import kept
from tests.containers.conftest import House, snapshot
from tests.unit.stages.release.conftest import live
from tests.unit.stages.training.card.conftest import small_card

REVIEWER, RELEASE = Actor("person", "reviewer"), Actor("policy", "release")


@pytest.fixture(autouse=True)
def nothing_to_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger names services that are not there: settling would look for them."""
    monkeypatch.setattr(propose, "settle_deployments", lambda *_, **__: None)


def registered(house: House, version: int, *, with_card: bool = True) -> str:
    """A version that was judged, and the run of its training, which has its card."""
    ledger, registry, key = house.resources.ledger, house.resources.registry, f"{version:064x}"
    run = registry.start_run("rides", key, f"training {version}")
    ledger.open_training(snapshot("rides", key), "test", house.now())
    ledger.record_judgement(key, Judgement("won", "better"), house.now())
    candidate = Candidate("rides", version, run, key, "manifest", refitted=True)
    ledger.record_candidate(candidate, house.now())
    if with_card:
        write_card(house, run)
    return run


def write_card(house: House, run: str) -> None:
    card = {**small_card(), "version": None}
    house.resources.registry.log_text(run, json.dumps(card), f"{kept.CARD_PATH}/{kept.DOCUMENT}")


def decide(house: House, kind: str, version: int, replaces: int | None, who: Actor) -> None:
    entry = told(
        house.resources, kind, version, f"because of {kind}", replaces=replaces, actor=who,
    )  # fmt: skip
    house.resources.ledger.append_journal(entry, house.now())


def on_card(house: House, run: str) -> list[tuple[str, str]]:
    card = kept.read_card(house.resources, run)
    assert card is not None
    return [(entry["what"], entry["by"]) for entry in card["decisions"]]


def test_an_answer_and_a_release_are_on_the_cards_of_both_versions_once(house: House) -> None:
    first, second = registered(house, 1), registered(house, 2)
    decide(house, "approved", 2, 1, REVIEWER)
    decide(house, "released", 2, 1, RELEASE)
    tell_cards(house.resources)
    assert on_card(house, first) == [("replaced", "release")]
    assert on_card(house, second) == [("approved", "reviewer"), ("released", "release")]
    registry, writes = house.resources.registry, []
    page = registry.read_text(second, f"{kept.CARD_PATH}/{kept.PAGE}")
    assert page is not None
    assert "because of released" in page
    with pytest.MonkeyPatch.context() as seen:
        seen.setattr(kept, "keep", lambda *_: writes.append(1))
        tell_cards(house.resources)
    assert writes == [], "a card that has it all is not drawn again"


def test_who_approves_is_on_the_card_when_the_answer_is_recorded(house: House) -> None:
    run = registered(house, 1)
    live(house, 1, "staging")
    proposal = house.propose()
    assert proposal is not None
    assert approval.approve(house.resources, proposal, now=house.now())
    assert ("approved", "release") in on_card(house, run)


def test_a_version_without_a_card_or_a_run_is_passed_over_and_said(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    bare, good = registered(house, 1, with_card=False), registered(house, 2)
    ledger, key = house.resources.ledger, f"{3:064x}"
    ledger.open_training(snapshot("rides", key), "test", house.now())
    ledger.record_judgement(key, Judgement("won", "better"), house.now())
    ledger.record_candidate(Candidate("rides", 3, "gone", key, "m", refitted=True), house.now())
    decide(house, "approved", 1, None, REVIEWER)
    decide(house, "approved", 2, 1, REVIEWER)
    decide(house, "approved", 3, 1, REVIEWER)
    with caplog.at_level(logging.WARNING):
        tell_cards(house.resources)
    assert on_card(house, good) == [("approved", "reviewer")]
    assert (
        "card of rides v1 is not told of the last decisions: ArtifactRefused: Run " in caplog.text
    )
    assert "has no model card to add 'approved' to. Clear 'write_model_card'" in caplog.text
    assert "card of rides v3 is not told of the last decisions: MlflowException" in caplog.text
    write_card(house, bare)
    decide(house, "released", 2, None, RELEASE)
    tell_cards(house.resources)
    assert on_card(house, bare) == [("approved", "reviewer")], "with the next decision"


def test_a_registry_that_is_away_is_asked_once_and_the_next_decision_brings_the_rest(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registered(house, 1), registered(house, 2)
    decide(house, "released", 1, None, RELEASE)
    decide(house, "aborted", 2, 1, RELEASE)
    asked: list[str] = []

    def away(_: Registry, run: str, *__: str) -> None:
        asked.append(run)
        raise Unavailable("MLflow does not answer")

    with monkeypatch.context() as down:
        down.setattr(Registry, "read_text", away)
        tell_cards(house.resources)
    assert asked == [second], "nobody waits for each"
    assert "are told of the last decisions with the next one: MLflow does not" in caplog.text
    decide(house, "retired", 1, 1, REVIEWER)
    tell_cards(house.resources)
    assert on_card(house, second) == [("aborted", "release")]
    assert on_card(house, first) == [("released", "release"), ("retired", "reviewer")]


@pytest.mark.parametrize("point", ["registry.log_folder", "registry.log_text"])
def test_a_death_while_a_card_is_written_leaves_nothing_out_and_nothing_twice(
    house: House, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    run = registered(house, 1)
    decide(house, "approved", 1, None, REVIEWER)
    for when in ("before", "after"):
        monkeypatch.setenv(effects.ARMED, f"{point}:{when}:1:raise")
        monkeypatch.setattr(effects, "_passed", effects.Counter())
        with pytest.raises(FailpointReached):
            tell_cards(house.resources)
        monkeypatch.delenv(effects.ARMED)
        if when == "before":
            assert on_card(house, run) == []
    tell_cards(house.resources)
    assert on_card(house, run) == [("approved", "reviewer")]
