"""The history ends with what waits for a training, why, and until when."""

import datetime as dt

import pytest

from include.evergreen.adapters.ledger import Ledger, open_ledger
from include.evergreen.cli import history
from include.evergreen.cli.history import waiting_lines

NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def ledger(installation) -> Ledger:
    return open_ledger(installation.ledger_url)


def test_nothing_that_waits_is_said(ledger):
    assert waiting_lines(ledger, "demo", NOW) == ["No request to retrain is waiting."]


def test_what_waits_is_counted_with_the_reason_and_the_time_that_is_left(ledger):
    for n, reason in enumerate(("new_data", "new_data", "drift")):
        ledger.request_retrain("demo", reason, f"{reason}:{n}", {}, NOW)
    [line] = waiting_lines(ledger, "demo", NOW)
    assert line == (
        "Waiting for a training: 2 new_data, 1 drift, since 2026-11-21 12:00:00. "
        "Train says: train has not looked at it yet."
    )
    until = NOW + dt.timedelta(minutes=40)
    ledger.record_decision(
        "demo", "train", "not_yet", "too soon", {"until": until.isoformat()}, NOW
    )
    ledger.record_decision("demo", "monitor", "no_drift", "quiet", {}, NOW)
    [line] = waiting_lines(ledger, "demo", NOW)
    assert line.endswith("Train says: not yet: too soon (in 40 minutes).")


def test_the_command_shows_both(ledger, installation, monkeypatch, capsys):
    monkeypatch.setenv("EVERGREEN_HOME", str(installation.home))
    monkeypatch.setenv("COLUMNS", "200")
    assert history.main(["--model", "demo"]) == 1
    ledger.request_retrain("demo", "drift", "drift:v1:[300]", {}, NOW)
    assert history.main(["--model", "demo"]) == 0
    shown = capsys.readouterr().out
    assert "drift:v1:[300]" in shown
    assert "Waiting for a training: 1 drift" in shown
