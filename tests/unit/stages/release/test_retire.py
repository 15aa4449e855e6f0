"""A model that is retired answers nowhere, and nothing of it is begun until that is taken back."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from include.evergreen.adapters.registry import Registry
from include.evergreen.errors import InputError
from include.evergreen.policy import journal_words
from include.evergreen.stages.release import retire
from include.evergreen.stages.release.retired import why_retired
from tests.containers.conftest import House


def retired(house: House, confirm: str = "rides", reason: str = "nobody asks it") -> int | None:
    return retire.retire(house.resources, confirm, reason, asked_by="admin", now=house.now())


def alias(house: House, name: str) -> int | None:
    return house.resources.registry.version_of("rides", name)


def test_it_must_be_confirmed_by_name(house: House) -> None:
    for act in (retire.retire, retire.take_back):
        with pytest.raises(InputError, match="'confirm' must be the model's name, 'rides'; it is"):
            act(house.resources, "other", "", now=house.now())
    with pytest.raises(InputError, match="rides is not retired"):
        retire.take_back(house.resources, "rides", "", now=house.now())
    assert why_retired(house.resources.ledger, "rides") == ""


def test_a_model_of_which_nothing_answers_is_retired_too_and_the_journal_has_it_once(
    house: House,
) -> None:
    assert [retired(house), retired(house)] == [None, None]
    [line] = journal_words.tell(house.resources.ledger.journal("rides"))
    assert "retired no version by admin: nobody asks it" in line


@pytest.mark.slow
def test_nothing_answers_aliases_are_moved_and_requests_answered_also_after_deaths(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.release(1)
    house.deploy(2)
    ledger = house.resources.ledger
    ledger.request_retrain("rides", "manual", "by hand", {}, house.now())
    house.resources.registry.set_alias("rides", "challenger", 2)  # as a training does
    for dies_at in ("_stop", "_archive"):
        with monkeypatch.context() as broken:
            act = getattr(retire, dies_at)

            def die(*arguments: object, act: Callable[..., None] = act) -> None:
                act(*arguments)
                raise SystemError("here it dies")

            broken.setattr(retire, dies_at, die)
            with pytest.raises(SystemError):
                retired(house)
        assert why_retired(ledger, "rides"), "nothing new is begun, wherever it dies"
    assert retired(house) == 1
    assert (house.live(), house.live("staging")) == (None, None)
    assert house.runtime.find("rides") == []
    for name in ("champion", "staging", "challenger"):
        assert alias(house, name) is None, name
    assert alias(house, "retired") == 1
    info = house.resources.registry.version_info("rides", 1)
    assert info.tags["evergreen.retired"] == "nobody asks it"
    assert ledger.pending_requests("rides") == []
    lines = journal_words.tell(ledger.journal("rides"))
    [line] = [line for line in lines if " retired " in line]
    assert "retired v1 by admin: nobody asks it" in line
    places = journal_words.standing(ledger.journal("rides"))
    assert [place.partition(",")[0] for place in places] == [
        "In staging: no version",
        "In production: no version",
    ]
    image = ledger.image("rides", 1, "process")
    assert image is not None
    assert house.runtime.has(image), "kept for as long as the rules say"

    with monkeypatch.context() as broken:
        broken.setattr(Registry, "remove_alias", lambda *_: sys.exit("here it dies"))
        with pytest.raises(SystemExit):
            retire.take_back(house.resources, "rides", "wanted again", now=house.now())
    retire.take_back(house.resources, "rides", "wanted again", now=house.now())
    assert why_retired(ledger, "rides") == ""
    assert alias(house, "retired") is None
    back = house.watch(house.switch(2))
    assert (back.version, house.champion()) == (2, 2)
