"""A delivered file appears whole, under a new name that a landing zone takes, and is hashed."""

import datetime as dt
import hashlib
from pathlib import Path

import pytest

from include.evergreen.adapters.landing import DirectoryLanding
from include.evergreen.adapters.landing.delivery import deliver, landed_name
from include.evergreen.adapters.landing.zone import is_ignored
from include.evergreen.errors import FileUnreadable

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
STAMP = "20260102T030405000678"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rides.csv", f"{STAMP}-rides.csv"),
        ("rides.csv.gz", f"{STAMP}-rides.csv.gz"),
        ("_hidden.csv", f"{STAMP}-hidden.csv"),
        (".hidden.parquet", f"{STAMP}-hidden.parquet"),
        ("a b;$(c) ü.csv", f"{STAMP}-a-b-c.csv"),
        ("noending", f"{STAMP}-noending"),
        ("ü.jsonl", f"{STAMP}-rows.jsonl"),
    ],
)
def test_names_are_plain_and_keep_their_ending(name: str, expected: str) -> None:
    assert landed_name(name, NOW) == expected
    assert not is_ignored(expected)


def test_a_file_is_delivered_whole_and_listed(tmp_path: Path) -> None:
    source = tmp_path / "rides.csv"
    source.write_bytes(b"a,b\n1,2\n")
    landing = DirectoryLanding(str(tmp_path / "zone"))
    file, digest = deliver(source, landing, now=NOW)
    assert digest == hashlib.sha256(source.read_bytes()).hexdigest()
    assert [listed.uri for listed in landing.list()] == [file.uri]
    assert [path.name for path in (tmp_path / "zone").iterdir()] == [f"{STAMP}-rides.csv"]


def test_the_same_file_twice_has_two_names(tmp_path: Path) -> None:
    source = tmp_path / "rides.csv"
    source.write_bytes(b"a\n")
    landing = DirectoryLanding(str(tmp_path / "zone"))
    for seconds in (0, 1):
        deliver(source, landing, now=NOW + dt.timedelta(seconds=seconds))
    assert len(landing.list()) == 2


def test_a_source_that_cannot_be_read_leaves_nothing_behind(tmp_path: Path) -> None:
    landing = DirectoryLanding(str(tmp_path / "zone"))
    with pytest.raises(FileUnreadable, match="cannot be put into"):
        deliver(tmp_path / "absent.csv", landing, now=NOW)
    assert list((tmp_path / "zone").iterdir()) == []
