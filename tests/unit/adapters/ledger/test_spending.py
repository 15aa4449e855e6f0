"""What trainings cost, booked piece by piece, and how the judged ones ended."""

import pytest

from include.evergreen.errors import LedgerConflict
from tests.unit.adapters.ledger.facts import MODEL, NOW, after, candidate, judgement, snapshot


def test_a_piece_of_work_is_charged_its_last_word_and_the_training_the_sum(ledger):
    ledger.open_training(snapshot(), "run", NOW)
    assert ledger.training("key1").compute_seconds == 0
    ledger.charge_compute("key1", "trials/0", NOW, 15.0, after(1))
    ledger.charge_compute("key1", "trials/0", NOW, 7.5, after(8))
    ledger.charge_compute("key1", "trials/1", NOW, 2.0, after(9))
    assert ledger.training("key1").compute_seconds == 9.5
    ledger.charge_compute("key1", "trials/0", after(60), 15.0, after(61))
    assert ledger.training("key1").compute_seconds == 24.5, "a second try is paid for too"


def test_charges_are_kept_with_their_time_and_by_model(ledger):
    ledger.open_training(snapshot(), "run", NOW)
    ledger.open_training(snapshot("key2", model="other"), "run", NOW)
    ledger.charge_compute("key1", "fit", NOW, 3.0, after(3))
    ledger.charge_compute("key1", "refit", after(10), 4.0, after(14))
    ledger.charge_compute("key2", "fit", NOW, 5.0, after(5))
    charges = ledger.compute_since(MODEL, NOW)
    assert [(c.work, c.seconds, c.at) for c in charges] == [
        ("fit", 3.0, after(3)),
        ("refit", 4.0, after(14)),
    ]
    assert [c.work for c in ledger.compute_since(MODEL, after(3))] == ["refit"]


def test_a_training_that_nobody_opened_pays_nothing(ledger):
    with pytest.raises(LedgerConflict, match="open_training comes first"):
        ledger.charge_compute("nobody", "fit", NOW, 1.0, NOW)
    assert ledger.compute_since(MODEL, after(-60)) == []


def test_a_training_counts_once_however_often_it_is_resumed(ledger):
    ledger.open_training(snapshot(), "run 1", NOW)
    ledger.open_training(snapshot(), "run 2", after(600))
    ledger.open_training(snapshot("key2"), "run 3", after(700))
    assert ledger.trainings_opened_since(MODEL, after(-1)) == [NOW, after(700)]
    assert ledger.trainings_opened_since(MODEL, NOW) == [after(700)]


def test_ended_trainings_are_the_registered_and_the_lost_the_last_judged_first(ledger):
    for n, verdict in enumerate(("won", "lost", "not_yet", "lost")):
        ledger.open_training(snapshot(f"key{n}"), "run", NOW)
        ledger.record_judgement(f"key{n}", judgement(verdict), after(n * 10))
    assert [(e.key, e.state) for e in ledger.ended_trainings(MODEL, 10)] == [
        ("key3", "lost"),
        ("key1", "lost"),
    ]
    ledger.record_candidate(candidate(key="key0"), after(5))
    ended = ledger.ended_trainings(MODEL, 10)
    assert [(e.key, e.ended_at) for e in ended] == [
        ("key3", after(30)),
        ("key1", after(10)),
        ("key0", after(5)),
    ]
    assert ended[0].spec_digest == "spec"
    assert [e.key for e in ledger.ended_trainings(MODEL, 1)] == ["key3"]


def test_the_last_decision_of_a_stage_is_found_behind_any_number_of_others(ledger):
    ledger.record_decision(MODEL, "train", "not_yet", "why", {"until": None}, NOW)
    for n in range(60):
        ledger.record_decision(MODEL, "monitor", "no_drift", f"look {n}", {}, after(n))
    found = ledger.last_decision(MODEL, "train", "freeze")
    assert (found.stage, found.reason) == ("train", "why")
    assert ledger.last_decision(MODEL, "deploy") is None
