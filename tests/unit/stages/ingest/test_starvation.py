"""Files that nobody can read are in nobody's way, however many there are."""

from __future__ import annotations

import datetime as dt

import pytest

from include.evergreen.contracts import LandedFile
from include.evergreen.errors import FileUnreadable
from include.evergreen.stages.ingest import ingest

from .conftest import LATER


@pytest.fixture
def locked(zone, monkeypatch) -> set[str]:
    """Names that may not be opened."""
    names: set[str] = set()
    landing = type(zone.resources.landing)
    opened = landing.open_binary

    def open_binary(self, file: LandedFile):
        if file.uri.rpartition("/")[2] in names:
            raise FileUnreadable(f"{file.uri} may not be read.")
        return opened(self, file)

    monkeypatch.setattr(landing, "open_binary", open_binary)
    return names


def names_of(files: list[LandedFile]) -> list[str]:
    return [file.uri.rpartition("/")[2] for file in files]


def test_a_thousand_unreadable_files_do_not_starve_a_newer_one(zone, locked, make_row):
    for number in range(ingest.MAX_FILES):
        zone.land(f"{number:04}.csv", f"locked {number}")
        locked.add(f"{number:04}.csv")
    zone.land("new.csv", [make_row("new")])
    first = zone.ingest()
    assert (first.rows_appended, len(first.problems)) == (0, ingest.MAX_FILES)
    second = zone.ingest("second")
    assert second.rows_appended == 1
    with pytest.raises(FileUnreadable, match=r"999 files of demo need somebody"):
        ingest.raise_problems(second)


def test_those_tried_longest_ago_come_first_among_the_unreadable(zone, locked, make_row):
    for name in ("a.csv", "b.csv"):
        zone.land(name, [make_row(name)])
        locked.add(name)
    resources = zone.resources
    for minute, name in enumerate(("b.csv", "a.csv")):
        files = ingest.discover_files(resources, now=LATER)
        file = next(file for file in files if file.uri.endswith(name))
        now = LATER + dt.timedelta(minutes=minute)
        ingest.ingest_files(resources, [file], owner="x", now=now)
    zone.land("c.csv", [make_row("c")])
    assert names_of(ingest.discover_files(resources, now=LATER)) == ["c.csv", "b.csv", "a.csv"]


def test_a_file_that_can_be_read_again_is_taken_and_told_of_no_more(zone, locked, make_row):
    zone.land("a.csv", [make_row("a")])
    locked.add("a.csv")
    zone.ingest()
    assert zone.resources.ledger.acknowledged("demo") == {}, "it is not dealt with"
    locked.clear()
    assert zone.ingest("second").rows_appended == 1
    assert zone.resources.ledger.postponed("demo") == {}


def test_a_file_that_was_mended_is_no_longer_at_the_back(zone, locked, make_row):
    zone.land("a.csv", [make_row("a")])
    locked.add("a.csv")
    zone.ingest()
    zone.land("b.csv", [make_row("b")])
    (zone.directory / "a.csv").unlink()
    zone.land("a.csv", [make_row("a"), make_row("a2")])
    resources = zone.resources
    pending = ingest.discover_files(resources, now=LATER)
    assert (pending[-1].uri, pending[-1].fingerprint) not in resources.ledger.postponed("demo")
