"""The watcher of pending requests fires for what no event tells, and not without an end."""

import asyncio
import datetime as dt

import pytest

from include.evergreen import airflow_lookup, request_trigger
from include.evergreen.adapters.ledger import Ledger, open_ledger
from include.evergreen.contracts import RunningService
from include.evergreen.request_trigger import RequestTrigger

LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOTHING_SEEN = {"newest_request": 0, "until": None}


@pytest.fixture
def ledger(installation, monkeypatch) -> Ledger:
    monkeypatch.setattr(airflow_lookup, "load_settings", lambda: installation)
    return open_ledger(installation.ledger_url)


def events(seconds: float, *steps, stage: request_trigger.Stage = "train") -> list[dict]:
    """What a fresh trigger says within some seconds; the steps are called one after the other."""

    async def watch() -> list[dict]:
        seen: list[dict] = []

        async def listen() -> None:
            async for event in RequestTrigger("demo", poll_s=0.05, stage=stage).run():
                seen.append(event.payload)  # noqa: PERF401 - it is cancelled in between

        listening = asyncio.create_task(listen())
        for step in steps:
            await asyncio.sleep(seconds / (len(steps) + 1))
            await asyncio.to_thread(step)
        await asyncio.sleep(seconds / (len(steps) + 1))
        listening.cancel()
        return seen

    return asyncio.run(watch())


def ask(ledger: Ledger, cause: str = "new_data:1") -> int:
    asked = ledger.request_retrain("demo", "new_data", cause, {}, LONG_AGO)
    assert asked is not None
    return asked.id


def look(ledger: Ledger, seen: int, verdict: str, at: dt.datetime, **details) -> None:
    ledger.record_decision(
        "demo", "train", verdict, "why", {**NOTHING_SEEN, "newest_request": seen, **details}, at
    )


def test_nothing_pending_wakes_nobody(ledger):
    assert events(0.5) == []


def test_a_request_that_nobody_looked_at_wakes_train_once_and_a_newer_one_again(ledger):
    first = ask(ledger)
    assert events(0.6) == [{"model": "demo", "why": f"request {first} was not looked at yet"}]
    told = events(1.2, lambda: ask(ledger, "new_data:2"))
    assert [event["why"] for event in told] == [
        f"request {first} was not looked at yet",
        f"request {first + 1} was not looked at yet",
    ]


def test_what_train_has_looked_at_is_left_alone_until_its_time_has_come(ledger):
    number = ask(ledger)
    now = dt.datetime.now(dt.UTC)
    until = (now + dt.timedelta(seconds=1)).isoformat()
    look(ledger, number, "not_yet", now, until=until)
    assert events(0.4) == []
    assert [event["why"] for event in events(1.5)] == ["what the last look had to wait for is over"]


def test_it_tells_again_while_nothing_changes_each_time_later(ledger, monkeypatch):
    monkeypatch.setattr(request_trigger, "_TELL_AGAIN_S", 0.3)
    monkeypatch.setattr(request_trigger._Watch, "_tell_again_s", 0.3)
    ask(ledger)
    assert len(events(1.7)) == 3, "at 0, 0.3 and 0.9 seconds"


def test_a_ledger_that_does_not_answer_ends_nothing(ledger, monkeypatch, caplog):
    number = ask(ledger)
    good = airflow_lookup.load_settings
    monkeypatch.setattr(airflow_lookup, "load_settings", lambda: 1 / 0)
    told = events(1.0, lambda: monkeypatch.setattr(airflow_lookup, "load_settings", good))
    assert [event["why"] for event in told] == [f"request {number} was not looked at yet"]
    assert "Looking for requests of demo failed: ZeroDivisionError" in caplog.text


def test_a_staged_version_that_nobody_looked_at_wakes_release_and_not_train(ledger):
    number = ledger.begin_deployment("demo", 1, "staging", "v1", LONG_AGO)
    service = RunningService("1", "v1", "process", "http://x", "digest", "")
    ledger.record_service(number, service, LONG_AGO)
    ledger.finish_deployment(number, "live", "verified", (), LONG_AGO)
    assert events(0.4) == []
    why = f"staging deployment {number} was not looked at yet"
    assert events(0.6, stage="release") == [{"model": "demo", "why": why}]
