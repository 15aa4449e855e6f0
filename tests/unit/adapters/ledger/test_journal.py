"""The journal has an entry for each judgement, version and deployment, in one gapless chain."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest
import sqlalchemy as sa

from include.evergreen.adapters.ledger import Ledger, open_ledger
from include.evergreen.adapters.ledger.schema import JOURNAL
from include.evergreen.contracts import GateResult
from include.evergreen.errors import LedgerConflict
from include.evergreen.policy.journal import GENESIS, verify
from tests.unit.adapters.ledger.facts import (
    MODEL,
    NOW,
    after,
    candidate,
    image,
    journal_entry,
    judgement,
    service,
    snapshot,
)
from tests.unit.adapters.ledger.processes import run_at_once

CHECK = {"name": "ping", "passed": True, "seen": "200", "required": "200"}


def said(ledger: Ledger, model: str = MODEL) -> list[dict]:
    assert verify(model, ledger.journal(model), []).problems == ()
    return [json.loads(entry.document) for entry in ledger.journal(model)]


def told(ledger: Ledger) -> list[tuple]:
    return [(e["kind"], e["from_version"], e["to_version"], e["why"]) for e in said(ledger)]


def register(ledger: Ledger, key: str = "key1", version: int = 2) -> None:
    ledger.open_training(snapshot(key), "bike_demand.train run-1", NOW)
    ledger.set_training_run(key, f"run-{version}")
    ledger.record_judgement(key, judgement(), after(1))
    ledger.record_candidate(candidate(version, key), after(2), run="bike_demand.train run-2")


def begin(ledger: Ledger, version: int, environment: str = "staging") -> int:
    number = ledger.begin_deployment(MODEL, version, environment, f"{MODEL}-{version}", NOW)
    ledger.record_service(number, service(version), NOW)
    return number


def test_from_the_judgement_to_staging_every_step_has_its_entry(ledger):
    ledger.record_image(image(), NOW)
    ledger.finish_deployment(begin(ledger, 1), "live", "verified", [], NOW)
    register(ledger)
    ledger.finish_deployment(begin(ledger, 2), "live", "verified", [CHECK], after(3), run="deploy")
    assert told(ledger) == [
        ("staged", None, 1, "verified"),
        ("judged", 1, None, "4% better than version 1"),
        ("registered", 1, 2, "4% better than version 1"),
        ("staged", 1, 2, "verified"),
    ]
    _, judged, registered, staged = said(ledger)
    assert judged["at"] == "2026-11-21T12:00:01.000000+00:00"
    assert judged["actor"] == {"kind": "policy", "name": "judge"}
    assert (judged["run"], registered["run"], staged["run"]) == (
        "bike_demand.train run-1",
        "bike_demand.train run-2",
        "deploy",
    )
    trained = {"training_key": "key1", "rows": "rows", "spec": "spec", "code": "code"}
    assert judged["digests"] == trained
    assert registered["digests"] == {**trained, "manifest": "manifest"}
    assert staged["digests"] == {**trained, "manifest": "manifest", "image": "sha256:1"}
    assert {entry["mlflow_run"] for entry in (judged, registered, staged)} == {"run-2"}
    assert judged["evidence"]["scores"]["challenger"]["value"] == 48.0
    assert staged["evidence"]["checks"] == [CHECK]


def test_gates_are_told_with_what_was_seen_and_without_their_curves(ledger):
    gate = GateResult("slices", "block", "failed", "x" * 5000, "0.1", {"curve": [1.0] * 1000})
    word = dataclasses.replace(judgement("lost", "y" * 5000), gates=(gate,))
    ledger.open_training(snapshot(), "run", NOW)
    ledger.record_judgement("key1", word, NOW)
    (entry,) = said(ledger)
    (seen,) = entry["evidence"]["gates"]
    assert seen["seen"].endswith("[cut: 5,000 characters in all]")
    assert seen.keys() == {"name", "mode", "verdict", "seen", "required"}
    assert entry["why"].endswith("[cut: 5,000 characters in all]")


def test_what_is_recorded_twice_is_one_entry(ledger):
    register(ledger)
    register(ledger)
    number = begin(ledger, 2)
    for _ in range(2):
        ledger.finish_deployment(number, "live", "verified", [], NOW)
    first = ledger.append_journal(journal_entry(), NOW)
    again = ledger.append_journal(
        dataclasses.replace(journal_entry(), why="changed my mind"), after(9)
    )
    assert first == again
    assert [entry["kind"] for entry in said(ledger)] == [
        "judged",
        "registered",
        "staged",
        "approved",
    ]


def test_a_not_yet_is_told_once_a_reason_and_the_verdict_after_it(ledger):
    ledger.open_training(snapshot(), "run", NOW)
    for verdict, reason in [
        ("not_yet", "80 rows"),
        ("not_yet", "80 rows"),
        ("not_yet", "90 rows"),
        ("lost", "worse"),
        ("won", "too late"),
    ]:
        ledger.record_judgement("key1", judgement(verdict, reason), NOW)
    assert [entry["why"] for entry in said(ledger)] == ["80 rows", "90 rows", "worse"]


def test_what_failed_in_staging_is_told_and_what_stopped_is_not(ledger):
    ledger.finish_deployment(begin(ledger, 1), "live", "verified", [], NOW)
    overtaken = begin(ledger, 2)
    ledger.finish_deployment(begin(ledger, 3), "live", "verified", [], NOW)
    ledger.finish_deployment(1, "stopped", "replaced", [], NOW)
    begin(ledger, 2)
    ledger.finish_deployment(begin(ledger, 4), "failed", "p99 900 ms", [], NOW)
    assert told(ledger) == [
        ("staged", None, 1, "verified"),
        ("staged", 1, 3, "verified"),
        ("staging_failed", 3, 2, f"superseded: deployment {overtaken + 1} became live meanwhile"),
        ("staging_failed", 3, 4, "p99 900 ms"),
    ]


def test_a_release_hands_in_its_own_entry_and_it_comes_with_the_switch(ledger):
    number = begin(ledger, 2, "production")
    entry = dataclasses.replace(journal_entry("release:2"), kind="released")
    ledger.finish_deployment(number, "live", "released", [], NOW, entry=entry)
    ledger.finish_deployment(begin(ledger, 3, "production"), "live", "untold", [], NOW)
    assert [entry["event"] for entry in said(ledger)] == ["release:2"]


def test_an_entry_that_cannot_be_made_takes_what_it_tells_of_back(ledger, monkeypatch):
    def full(*_):
        raise MemoryError("no room")

    ledger.open_training(snapshot(), "run", NOW)
    monkeypatch.setattr("include.evergreen.adapters.ledger.journal.link", full)
    with pytest.raises(MemoryError):
        ledger.record_judgement("key1", judgement(), NOW)
    assert ledger.training("key1").state == "open"
    assert ledger.journal(MODEL) == []


def test_a_judgement_that_cannot_be_recorded_leaves_no_entry(ledger):
    register(ledger)
    with pytest.raises(LedgerConflict):
        ledger.record_candidate(candidate(3), NOW)
    assert len(said(ledger)) == 2


def test_each_model_has_its_own_chain(ledger):
    ledger.append_journal(journal_entry(), NOW)
    ledger.append_journal(journal_entry(model="churn"), NOW)
    assert ledger.journal_models() == [MODEL, "churn"]
    for model in (MODEL, "churn"):
        (entry,) = ledger.journal(model)
        assert (entry.number, entry.previous) == (1, GENESIS)
        assert verify(model, [entry], []).problems == ()


def test_what_was_anchored_is_remembered_with_the_first_time(ledger):
    made = [ledger.append_journal(journal_entry(event), NOW) for event in ("a", "b", "c")]
    ledger.mark_anchored(MODEL, 2, after(1))
    ledger.mark_anchored(MODEL, 2, after(2))
    assert [entry.number for entry in ledger.unanchored(MODEL)] == [1, 3]
    assert ledger.journal(MODEL)[1].anchored_at == after(1).isoformat()
    unmarked = [dataclasses.replace(e, anchored_at=None) for e in ledger.journal(MODEL)]
    assert unmarked == made, "the mark is not part of what is hashed"


def test_text_that_a_database_cannot_hold_comes_back_as_it_was_hashed(ledger):
    why = "NUL \x00, a lone \ud800, escaped: and ünïcode"
    ledger.append_journal(dataclasses.replace(journal_entry(f"e:{why}"), why=why), NOW)
    (entry,) = said(ledger)
    assert (entry["why"], entry["event"]) == (why, f"e:{why}")


def test_a_time_without_a_zone_is_refused(ledger):
    with pytest.raises(ValueError, match="without a zone"):
        ledger.append_journal(journal_entry(), dt.datetime(2026, 11, 21))
    assert ledger.journal(MODEL) == []


def _append(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    for turn in range(12):
        mine = ledger.append_journal(journal_entry(f"{number}:{turn}"), NOW)
        shared = ledger.append_journal(journal_entry(f"shared:{turn}"), NOW)
        say([mine.number, shared.number])


def test_processes_that_append_at_once_make_one_gapless_chain(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    seen = run_at_once(_append, url, 6, tmp_path / "said")
    mine = [numbers[0] for process in seen for numbers in process]
    shared = {tuple(numbers[1] for numbers in process) for process in seen}
    assert len(shared) == 1, "an event that several tell is one entry to all of them"
    assert sorted([*mine, *shared.pop()]) == list(range(1, 6 * 12 + 12 + 1))
    assert len(said(ledger)) == 6 * 12 + 12


def _judge(url: str, number: int, say) -> None:
    """Two locks at once: that of the training, or of the deployments, and the chain's."""
    ledger = open_ledger(url)
    for turn in range(4):
        key = f"key-{number}-{turn}"
        ledger.open_training(snapshot(key), "run", NOW)
        ledger.record_judgement(key, judgement(), NOW)
        begun = ledger.begin_deployment(MODEL, 9, "staging", f"s-{number}-{turn}", NOW)
        ledger.finish_deployment(begun, "failed", "why not", [], NOW)
    say("done")


def test_judges_and_deployments_at_once_do_not_wait_in_a_circle(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    assert run_at_once(_judge, url, 4, tmp_path / "said") == [["done"]] * 4
    assert len(said(ledger)) == 4 * 4 * 2


def test_an_entry_with_a_number_that_is_taken_is_refused(ledger):
    """The key is the last guard: where two appended unseen by each other, one would fail."""
    ledger.append_journal(journal_entry(), NOW)
    values = {"model": MODEL, "event": "x", "document": "{}", "previous": "", "digest": ""}
    with pytest.raises(LedgerConflict, match="refused"), ledger._write("test") as connection:
        connection.execute(sa.insert(JOURNAL).values(number=1, **values))
    again = {**values, "event": "release:1"}
    with pytest.raises(LedgerConflict, match="refused"), ledger._write("test") as connection:
        connection.execute(sa.insert(JOURNAL).values(number=2, **again))
