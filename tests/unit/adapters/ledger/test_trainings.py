from __future__ import annotations

import pytest

from include.evergreen.adapters.ledger import open_ledger
from include.evergreen.errors import LedgerConflict
from tests.unit.adapters.ledger.facts import (
    MODEL,
    NOW,
    after,
    candidate,
    judgement,
    service,
    snapshot,
)
from tests.unit.adapters.ledger.processes import run_at_once


def _register(ledger, version: int) -> None:
    key = f"key{version}"
    ledger.open_training(snapshot(key), "run", after(version))
    ledger.record_judgement(key, judgement(), after(version))
    ledger.record_candidate(candidate(version, key), after(version))


def _deploy(ledger, version: int, state: str) -> int:
    number = ledger.begin_deployment(MODEL, version, "staging", f"s{version}", NOW)
    ledger.record_service(number, service(version), NOW)
    if state != "starting":
        ledger.finish_deployment(number, state, "", [], NOW)
    return number


def test_a_training_goes_from_open_to_registered(ledger):
    opened = ledger.open_training(snapshot(), "run 1", NOW)
    assert (opened.state, opened.owner, opened.attempts) == ("open", "run 1", 1)
    ledger.set_training_run("key1", "mlflow-1")
    assert ledger.record_judgement("key1", judgement(), NOW) == judgement()
    assert ledger.training("key1").state == "won"
    ledger.record_candidate(candidate(), NOW)
    record = ledger.training("key1")
    assert (record.state, record.mlflow_run_id) == ("registered", "mlflow-1")
    assert (record.snapshot, record.judgement) == (snapshot(), judgement())
    assert record.candidate == candidate()
    assert ledger.snapshot_of_version(MODEL, 2) == snapshot()
    assert ledger.snapshot_of_version(MODEL, 3) is None


def test_an_abandoned_training_is_resumed_by_the_next_run(ledger):
    ledger.open_training(snapshot(), "run 1", NOW)
    ledger.set_training_run("key1", "mlflow-1")
    again = ledger.open_training(snapshot(), "run 1", after(1))
    assert again.attempts == 1
    resumed = ledger.open_training(snapshot(), "run 2", after(2))
    assert (resumed.state, resumed.owner, resumed.attempts) == ("open", "run 2", 2)
    assert (resumed.mlflow_run_id, resumed.opened_at) == ("mlflow-1", NOW)


def test_a_failed_training_is_open_again_for_the_next_run(ledger):
    ledger.open_training(snapshot(), "run 1", NOW)
    ledger.fail_training("key1", "MLflow did not answer", after(1))
    assert ledger.training("key1").state == "failed"
    resumed = ledger.open_training(snapshot(), "run 2", after(2))
    assert (resumed.state, resumed.why) == ("open", "MLflow did not answer")


def test_a_training_that_failed_after_it_won_still_has_won(ledger):
    ledger.open_training(snapshot(), "run 1", NOW)
    ledger.record_judgement("key1", judgement(), NOW)
    ledger.fail_training("key1", "MLflow did not answer", after(1))
    assert ledger.open_training(snapshot(), "run 2", after(2)).state == "won"


@pytest.mark.parametrize("verdict", ["lost", "not_yet"])
def test_a_training_with_its_verdict_is_returned_as_it_is(ledger, verdict):
    ledger.open_training(snapshot(), "run 1", NOW)
    ledger.record_judgement("key1", judgement(verdict), NOW)
    ledger.fail_training("key1", "too late to fail", NOW)
    found = ledger.open_training(snapshot(), "run 2", after(1))
    assert (found.state, found.owner, found.judgement) == (verdict, "run 1", judgement(verdict))


def test_the_first_judgement_stands_but_not_yet_is_no_verdict(ledger):
    ledger.open_training(snapshot(), "run", NOW)
    ledger.record_judgement("key1", judgement("not_yet"), NOW)
    assert ledger.record_judgement("key1", judgement("lost"), NOW) == judgement("lost")
    assert ledger.record_judgement("key1", judgement("won"), NOW) == judgement("lost")
    assert ledger.training("key1").state == "lost"


def test_only_a_training_that_won_has_a_candidate(ledger):
    ledger.open_training(snapshot(), "run", NOW)
    with pytest.raises(LedgerConflict, match="is 'open', and only one that was judged 'won'"):
        ledger.record_candidate(candidate(), NOW)
    ledger.record_judgement("key1", judgement("lost"), NOW)
    with pytest.raises(LedgerConflict, match="is 'lost'"):
        ledger.record_candidate(candidate(), NOW)
    assert ledger.candidates_undeployed(MODEL) == []


def test_a_training_has_one_version_and_a_version_one_training(ledger):
    _register(ledger, 1)
    ledger.record_candidate(candidate(1, "key1"), NOW)
    with pytest.raises(LedgerConflict, match="registered as version 1 already; version 2"):
        ledger.record_candidate(candidate(2, "key1"), NOW)
    ledger.open_training(snapshot("key9"), "run", NOW)
    ledger.record_judgement("key9", judgement(), NOW)
    with pytest.raises(LedgerConflict, match="refused what would contradict it"):
        ledger.record_candidate(candidate(1, "key9"), NOW)


def _asked(ledger, *causes: str) -> list[int]:
    return [ledger.request_retrain(MODEL, "new_data", cause, {}, NOW).id for cause in causes]


def _pending(ledger) -> list[str]:
    return [request.cause for request in ledger.pending_requests(MODEL)]


def test_a_training_that_loses_answers_its_requests_with_its_judgement(ledger):
    first, second, _ = _asked(ledger, "one", "two", "three")
    ledger.open_training(snapshot(), "run", NOW)
    ledger.record_judgement("key1", judgement("not_yet"), NOW, asked=[first])
    assert _pending(ledger) == ["one", "two", "three"]
    ledger.record_judgement("key1", judgement("lost"), NOW, asked=[first])
    assert _pending(ledger) == ["two", "three"]
    ledger.record_judgement("key1", judgement("won"), NOW, asked=[second])
    assert _pending(ledger) == ["three"], "who asked for a training that has lost already"


def test_a_version_answers_the_requests_of_its_training(ledger):
    first, second, third = _asked(ledger, "one", "two", "three")
    ledger.open_training(snapshot(), "run", NOW)
    ledger.record_judgement("key1", judgement(), NOW, asked=[first])
    assert _pending(ledger) == ["one", "two", "three"]
    ledger.record_candidate(candidate(1, "key1"), NOW, asked=[first])
    ledger.record_candidate(candidate(1, "key1"), NOW, asked=[second])
    assert _pending(ledger) == ["three"]
    with pytest.raises(LedgerConflict, match="version 2 is a second one"):
        ledger.record_candidate(candidate(2, "key1"), NOW, asked=[third])
    assert _pending(ledger) == ["three"]


def test_what_was_never_opened_is_refused_by_name(ledger):
    assert ledger.training("nothing") is None
    with pytest.raises(LedgerConflict, match="no training 'nothing'"):
        ledger.set_training_run("nothing", "mlflow-1")


def test_the_latest_training_may_be_asked_for_by_state(ledger):
    _register(ledger, 1)
    ledger.open_training(snapshot("key2"), "run", after(2))
    assert ledger.latest_training(MODEL).key == "key2"
    assert ledger.latest_training(MODEL, "registered").key == "key1"
    assert ledger.latest_training(MODEL, "lost") is None


@pytest.mark.parametrize(
    ("deployed", "undeployed"),
    [
        ({}, [3, 2, 1]),
        ({2: "live"}, [3]),
        ({3: "live"}, []),
        ({3: "failed"}, [2, 1]),
        ({3: "starting"}, [3, 2, 1]),
        ({2: "live", 3: "failed"}, []),
        ({3: "stopped"}, [2, 1]),
    ],
)
def test_candidates_to_deploy_are_those_newer_than_any_live_one_and_not_tried(
    ledger, deployed, undeployed
):
    for version in (1, 2, 3):
        _register(ledger, version)
    for version, state in deployed.items():
        _deploy(ledger, version, state)
    assert [found.version for found in ledger.candidates_undeployed(MODEL)] == undeployed


def _open(url: str, number: int, say) -> None:
    record = open_ledger(url).open_training(snapshot(), f"run {number}", NOW)
    say([record.key, record.state])


def test_eight_processes_open_one_training(ledger, tmp_path):
    url = ledger._engine.url.render_as_string(hide_password=False)
    said = run_at_once(_open, url, 8, tmp_path / "said")
    assert said == [[["key1", "open"]]] * 8
    assert ledger.training("key1").attempts == 8
