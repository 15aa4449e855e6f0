from __future__ import annotations

from tests.unit.adapters.ledger.facts import MODEL, NOW, after, drift_report


def test_reports_come_back_newest_first_and_the_same_one_is_kept_once(ledger):
    ledger.record_drift(drift_report(500), NOW)
    ledger.record_drift(drift_report(600, "no_drift"), after(1))
    assert ledger.drift_reports(MODEL) == [drift_report(600, "no_drift"), drift_report(500)]
    ledger.record_drift(drift_report(500), after(2))
    assert ledger.drift_reports(MODEL) == [drift_report(500), drift_report(600, "no_drift")]
    assert ledger.drift_reports(MODEL, limit=1) == [drift_report(500)]
    assert ledger.drift_reports("other") == []


def test_monitoring_remembers_how_far_it_has_looked(ledger):
    assert ledger.last_monitored(MODEL) is None
    ledger.set_last_monitored(MODEL, {"requests": 3}, NOW)
    ledger.set_last_monitored(MODEL, {"requests": 5, "rows": None}, after(1))
    assert ledger.last_monitored(MODEL) == {"requests": 5, "rows": None}
    assert ledger.last_monitored("other") is None


def test_a_segment_is_known_once_it_is_recorded(ledger):
    assert not ledger.segment_known(MODEL, "s1")
    ledger.record_segment(MODEL, "s1", 100, NOW)
    ledger.record_segment(MODEL, "s1", 100, NOW)
    assert ledger.segment_known(MODEL, "s1")
    assert not ledger.segment_known("other", "s1")
