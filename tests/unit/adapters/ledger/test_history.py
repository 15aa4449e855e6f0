from __future__ import annotations

import pytest

from tests.unit.adapters.ledger.facts import (
    MODEL,
    after,
    candidate,
    drift_report,
    judgement,
    outcome,
    service,
    snapshot,
)


@pytest.fixture
def lived(ledger):
    """A ledger that has seen the loop go round once, one step a second."""
    claim = ledger.claim_file(MODEL, "d1", "c1", "/landing/d1.csv", "rows", "owner", after(0))
    ledger.finish_file(MODEL, "d1", "c1", claim.fence, outcome(rows=1234), 1, after(1))
    asked = ledger.request_retrain(MODEL, "new_data", "rows:d1", {}, after(2))
    ledger.open_training(snapshot(), "run", after(3))
    ledger.record_judgement("key1", judgement(), after(4))
    ledger.record_candidate(candidate(), after(5))
    ledger.answer_requests([asked.id], "key1", "registered", "version 2", after(6))
    number = ledger.begin_deployment(MODEL, 2, "staging", "name", after(7))
    ledger.record_service(number, service(), after(7))
    ledger.finish_deployment(number, "live", "6 checks passed", [], after(8))
    ledger.record_drift(drift_report(), after(9))
    for second in (10, 11):
        ledger.record_decision(MODEL, "train", "not_yet", "too few rows", {}, after(second))
    return ledger


def test_everything_that_happened_is_told_newest_first(lived):
    told = [(row.kind, row.summary, row.reason) for row in lived.history(MODEL)]
    assert told == [
        ("decision", "train: not_yet (2 times)", "too few rows"),
        ("drift", "v2: drift", "1 of 8 columns drifted"),
        ("deployment", "v2 in staging: live", "6 checks passed"),
        ("deployment", "v2 in staging: starting", ""),
        ("answer", "request 1 answered: registered", "version 2"),
        ("candidate", "training key1 registered as version 2", ""),
        ("judgement", "training key1: won", "4% better than version 1"),
        ("training", "training key1 of 1,000 rows", "2 requests: new_data"),
        ("request", "request 1 to retrain: new_data", "rows:d1"),
        ("file", "rows file d1.csv: appended, 1,234 rows in, 0 quarantined", ""),
    ]
    times = [row.at for row in lived.history(MODEL)]
    assert times == sorted(times, reverse=True)
    assert lived.history("other") == []


def test_the_limit_cuts_the_oldest_and_since_leaves_out_what_was_seen(lived):
    whole = lived.history(MODEL)
    assert lived.history(MODEL, limit=3) == whole[:3]
    assert lived.history(MODEL, since=after(7)) == whole[:3]
    assert lived.history(MODEL, since=after(11)) == []


def test_an_old_deployment_that_ended_just_now_is_told(lived):
    (live,) = lived.deployments(MODEL, ["live"])
    for second in range(100, 105):
        lived.record_decision(MODEL, "deploy", f"{second}", "", {}, after(second))
    lived.finish_deployment(live.id, "stopped", "retired", [], after(200))
    first, *_ = lived.history(MODEL, limit=1)
    assert (first.summary, first.reason) == ("v2 in staging: stopped", "retired")


def test_a_failed_training_says_why(ledger):
    ledger.open_training(snapshot(), "run", after(0))
    ledger.fail_training("key1", "the disk is full", after(1))
    first, *_ = ledger.history(MODEL)
    assert (first.summary, first.reason) == ("training key1 failed", "the disk is full")
