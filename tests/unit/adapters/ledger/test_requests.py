from __future__ import annotations

import os
import signal

from include.evergreen.adapters.ledger import open_ledger
from tests.unit.adapters.ledger.facts import MODEL, NOW, after
from tests.unit.adapters.ledger.processes import run_at_once

CAUSES = 10


def test_a_cause_gets_one_request_ever(ledger):
    first = ledger.request_retrain(MODEL, "drift", "drift:v1", {"columns": ["a"]}, NOW)
    assert ledger.request_retrain(MODEL, "manual", "drift:v1", {}, after(1)) is None
    assert ledger.pending_requests(MODEL) == [first]
    ledger.answer_requests([first.id], "key1", "registered", "won", after(2))
    assert ledger.request_retrain(MODEL, "drift", "drift:v1", {}, after(3)) is None
    assert ledger.pending_requests(MODEL) == []


def test_models_do_not_share_causes(ledger):
    assert ledger.request_retrain(MODEL, "manual", "cause", {}, NOW) is not None
    assert ledger.request_retrain("other", "manual", "cause", {}, NOW) is not None
    assert [request.model for request in ledger.pending_requests(MODEL)] == [MODEL]


def test_what_is_not_answered_stays_pending_for_ever_oldest_first(ledger):
    causes = [f"cause {number}" for number in range(3)]
    made = [ledger.request_retrain(MODEL, "new_data", cause, {}, NOW) for cause in causes]
    ledger.answer_requests([made[1].id], "key1", "rejected", "tie", after(1))
    pending = ledger.pending_requests(MODEL)
    assert [request.cause for request in pending] == ["cause 0", "cause 2"]
    assert pending == [made[0], made[2]]


def test_requests_are_found_by_number_answered_or_not(ledger):
    causes = [f"cause {number}" for number in range(3)]
    made = [ledger.request_retrain(MODEL, "new_data", cause, {"n": 1}, NOW) for cause in causes]
    ledger.answer_requests([made[0].id], "key1", "registered", "won", after(1))
    assert ledger.requests([made[2].id, made[0].id, made[0].id, 999]) == [made[0], made[2]]
    assert ledger.requests([]) == []


def test_the_first_answer_stands(ledger):
    one = ledger.request_retrain(MODEL, "manual", "cause", {}, NOW).id
    assert ledger.answer_requests([one], "key1", "registered", "won", after(1)) == [one]
    assert ledger.answer_requests([one, 999], "key2", "rejected", "lost", after(2)) == []
    (row,) = [row for row in ledger.history(MODEL) if row.kind == "answer"]
    assert (row.summary, row.reason) == ("request 1 answered: registered", "won")


def test_answering_nothing_is_nothing(ledger):
    assert ledger.answer_requests([], None, "rejected", "", NOW) == []


def _ask_and_die(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    for cause in range(CAUSES):
        if ledger.request_retrain(MODEL, "new_data", f"rows:{cause}", {}, NOW) is not None:
            say(cause)
    if number % 2:
        os.kill(os.getpid(), signal.SIGKILL)


def test_eight_processes_make_one_request_a_cause_and_it_survives_their_death(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    said = run_at_once(_ask_and_die, url, 8, tmp_path / "said")
    assert sorted(cause for causes in said for cause in causes) == list(range(CAUSES))
    assert len(ledger.pending_requests(MODEL)) == CAUSES


def _answer(url: str, number: int, say) -> None:
    ledger = open_ledger(url)
    ids = [request.id for request in ledger.pending_requests(MODEL)]
    say(ledger.answer_requests(ids, f"key {number}", "registered", "won", NOW))


def test_a_request_is_answered_by_one_of_eight(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    for cause in range(CAUSES):
        ledger.request_retrain(MODEL, "new_data", f"rows:{cause}", {}, NOW)
    said = run_at_once(_answer, url, 8, tmp_path / "said")
    answered = [number for lists in said for numbers in lists for number in numbers]
    assert sorted(answered) == sorted(set(answered))
    assert len(answered) == CAUSES
