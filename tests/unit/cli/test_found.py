"""What the demo takes for the end of a release, and where it reads why a version is there."""

import datetime as dt
from types import SimpleNamespace

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.cli.demo.found import Found
from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.contracts import Actor, JournalEntry

MODEL = "bike_demand"
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
NOTHING = Facts(dealt_with=True)
RELEASE = Actor("policy", "release")


@pytest.fixture
def watch(installation: evergreen_settings.Settings) -> SimpleNamespace:
    return SimpleNamespace(model=MODEL, ledger=open_ledger(installation.ledger_url))


def say(watch: SimpleNamespace, word: str, version: int, minute: int) -> None:
    at = NOW + dt.timedelta(minutes=minute)
    reason = f"v{version}: {word}"
    watch.ledger.record_decision(MODEL, "release", word, reason, {"version": version}, at)


def test_a_release_is_over_when_its_watch_is(watch: SimpleNamespace) -> None:
    found = Found(watch)
    say(watch, "released", 1, 1)
    say(watch, "releasing", 2, 2)
    assert found.released(1)(NOTHING) == "v1: released"
    assert found.released(2)(NOTHING) is None, "it answers, and is being watched"
    say(watch, "rolled_back", 2, 3)
    assert found.released(2)(NOTHING) is None
    say(watch, "released", 3, 4)
    assert found.released(2)(NOTHING) == "v3: released", "a later one took over meanwhile"


def test_the_journal_says_why_a_version_is_in_production(watch: SimpleNamespace) -> None:
    assert Found(watch).why_it_is_there() == ""
    for version, kind in ((1, "released"), (2, "released"), (2, "advanced")):
        entry = JournalEntry(
            f"{kind}:v{version}:0", MODEL, kind, RELEASE, "it proved itself",
            from_version=version - 1 or None, to_version=version,
        )  # fmt: skip
        watch.ledger.append_journal(entry, NOW)
    line = Found(watch).why_it_is_there()
    assert "released v2 (was v1) by policy release: it proved itself" in line


def test_an_empty_production_is_no_place_to_ask(watch: SimpleNamespace) -> None:
    with pytest.raises(DemoFailed, match="Nothing is in production any more"):
        Found(watch).in_production()
