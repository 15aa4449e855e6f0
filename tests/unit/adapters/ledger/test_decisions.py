from __future__ import annotations

from tests.unit.adapters.ledger.facts import MODEL, after


def _decide(ledger, *verdicts: str, stage: str = "train") -> None:
    for second, verdict in enumerate(verdicts):
        ledger.record_decision(MODEL, stage, verdict, f"{verdict}!", {"n": second}, after(second))


def test_the_same_decision_again_and_again_is_one_line_with_a_count(ledger):
    _decide(ledger, "not yet", "not yet", "not yet")
    (decision,) = ledger.decisions(MODEL)
    assert (decision.count, decision.first_seen, decision.last_seen) == (3, after(0), after(2))
    assert decision.details == {"n": 2}


def test_only_consecutive_decisions_collapse(ledger):
    _decide(ledger, "not yet", "go", "not yet")
    assert [decision.verdict for decision in ledger.decisions(MODEL)] == [
        "not yet",
        "go",
        "not yet",
    ]


def test_another_stage_in_between_does_not_break_a_run_of_the_same(ledger):
    _decide(ledger, "not yet")
    _decide(ledger, "drift", stage="monitor")
    _decide(ledger, "not yet")
    counts = {decision.stage: decision.count for decision in ledger.decisions(MODEL)}
    assert counts == {"train": 2, "monitor": 1}


def test_the_newest_come_first_and_no_more_than_asked_for(ledger):
    _decide(ledger, "a", "b", "c")
    assert [decision.verdict for decision in ledger.decisions(MODEL, limit=2)] == ["c", "b"]
    assert ledger.decisions("other") == []
