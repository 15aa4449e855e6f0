"""Entries are anchored after they were made; what is left out by a death or an outage is healed."""

from __future__ import annotations

import datetime as dt
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from include.evergreen import effects
from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import Actor, JournalAnchor, JournalEntry
from include.evergreen.effects import FailpointReached
from include.evergreen.errors import Unavailable
from include.evergreen.stages.journal import anchor_entries, anchors_in_logs, collected
from include.evergreen.stages.resources import Resources
from tests.unit.stages.watched import empty_mlflow, place_mlflow, spec

NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    return empty_mlflow(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def resources(tmp_path: Path, database: Path) -> Iterator[Resources]:
    home = tmp_path / "home"
    place_mlflow(database, home)
    made = Resources(spec(), evergreen_settings.load({"EVERGREEN_HOME": str(home)}))
    for event in ("a", "b"):
        entry = JournalEntry(event, "rides", "approved", Actor("person", "admin"), "ok")
        made.ledger.append_journal(entry, NOW)
    yield made
    made.ledger.close()


def numbers(resources: Resources) -> list[int]:
    return sorted(anchor.number for anchor in resources.registry.journal_anchors("rides"))


def test_every_entry_is_anchored_in_the_log_and_in_mlflow_and_once(resources, caplog) -> None:
    entries = resources.ledger.journal("rides")
    with caplog.at_level(logging.INFO):
        anchor_entries(resources, "rides", now=NOW)
        anchor_entries(resources, "rides", now=NOW)
    said = [r.getMessage() for r in caplog.records if "journal-anchor" in r.getMessage()]
    assert said == [
        f"journal-anchor model=rides number={e.number} digest={e.digest}" for e in entries
    ]
    assert numbers(resources) == [1, 2]
    assert resources.ledger.unanchored("rides") == []


def test_a_registry_that_is_away_stops_nobody_and_is_made_good_later(
    resources, caplog, monkeypatch
) -> None:
    def away(*_, **__):
        raise Unavailable("MLflow does not answer")

    monkeypatch.setattr(Registry, "anchor_journal", away)
    anchor_entries(resources, "rides", now=NOW)
    assert "Entry 1 of the journal is anchored later: MLflow does not answer" in caplog.text
    assert [entry.number for entry in resources.ledger.unanchored("rides")] == [1, 2]
    monkeypatch.undo()
    anchor_entries(resources, "rides", now=NOW)
    assert numbers(resources) == [1, 2]


@pytest.mark.parametrize(
    "point",
    [
        "registry.anchor_journal:before",
        "registry.anchor_journal:after",
        "ledger.mark_anchored:before",
        "ledger.mark_anchored:after",
    ],
)
def test_a_death_in_between_is_healed_by_the_next_run(resources, monkeypatch, point) -> None:
    monkeypatch.setenv(effects.ARMED, f"{point}:1:raise")
    monkeypatch.setattr(effects, "_passed", effects.Counter())
    with pytest.raises(FailpointReached):
        anchor_entries(resources, "rides", now=NOW)
    monkeypatch.delenv(effects.ARMED)
    anchor_entries(resources, "rides", now=NOW)
    assert numbers(resources) == [1, 2]
    assert resources.ledger.unanchored("rides") == []


def test_a_past_that_was_written_anew_is_told_and_its_anchor_stands(resources, caplog) -> None:
    anchor_entries(resources, "rides", now=NOW)
    with closing(sqlite3.connect(resources.settings.home / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE evergreen_journal SET digest = 'forged', anchored_at = NULL")
    anchor_entries(resources, "rides", now=NOW)
    assert "The journal of rides contradicts its anchor: entry 1 has the digest forged" in (
        caplog.text
    )
    assert "forged" not in {a.digest for a in resources.registry.journal_anchors("rides")}
    assert len(resources.ledger.unanchored("rides")) == 2, "nothing says that it was anchored"


def test_a_journal_that_grows_while_it_is_read_raises_no_alarm(resources, monkeypatch) -> None:
    """Between two reads an entry is made, and it and the one before are anchored."""
    look = Registry.journal_anchors

    def meanwhile(when: str) -> None:
        person = Actor("person", "admin")
        entry = JournalEntry(when, "rides", "approved", person, "ok")
        resources.ledger.append_journal(entry, NOW)
        anchor_entries(resources, "rides", now=NOW)

    def looking(registry: Registry, model: str) -> list[JournalAnchor]:
        meanwhile("before the anchors are read")
        found = look(registry, model)
        meanwhile("after the anchors were read")
        return found

    monkeypatch.setattr(Registry, "journal_anchors", looking)
    found = collected(resources, "rides").verified()
    assert (found.entries, found.anchors, found.problems) == (4, 3, ())


def test_anchors_are_found_in_logs_whatever_else_stands_there(tmp_path: Path) -> None:
    folder = tmp_path / "dag_id=rides.train" / "run_id=1"
    folder.mkdir(parents=True)
    line = f"journal-anchor model=rides number=12 digest={'a' * 64}"
    (folder / "attempt=1.log").write_bytes(
        b'\xff\xfe garbage\n{"event":"' + line.encode() + b'","level":"info"}\n'
        b"journal-anchor model=rides number=13 digest=abc\n"
    )
    (anchor,) = anchors_in_logs(tmp_path, "rides")
    assert (anchor.number, anchor.digest) == (12, "a" * 64)
    assert anchor.where == f"{folder / 'attempt=1.log'}, line 2"
    assert list(anchors_in_logs(tmp_path, "churn")) == []
