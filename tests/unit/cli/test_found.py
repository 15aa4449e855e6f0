"""Where the demo reads what answers in production, and why it is there."""

import datetime as dt
from types import SimpleNamespace

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.cli.demo.found import Found
from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.contracts import Actor, JournalEntry

MODEL = "bike_demand"
NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
RELEASE = Actor("policy", "release")


@pytest.fixture
def watch(installation: evergreen_settings.Settings) -> SimpleNamespace:
    return SimpleNamespace(model=MODEL, ledger=open_ledger(installation.ledger_url))


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
