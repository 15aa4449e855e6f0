"""The loop on the bike-sharing months: born, released, gone stale, replaced, on a real Airflow."""

import datetime as dt
from pathlib import Path

import pytest
import requests

from include.evergreen.adapters.runtime import runtime_of
from include.evergreen.cli.demo.passerby import Passerby
from include.evergreen.policy.journal import contents
from tests.end_to_end import bike
from tests.end_to_end.conftest import Stack
from tests.end_to_end.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
MODEL = "bike_demand"


def predict(endpoint: str, rows: list[dict]) -> requests.Response:
    return requests.post(f"{endpoint}/invocations", json={"dataframe_records": rows}, timeout=10)


def requests_of(rows, stack: Stack) -> list[dict]:
    names = list(stack.resources(MODEL).spec.feature_columns)
    records = rows.select(names).to_dicts()
    flags = ("holiday", "workingday")
    return [{**r, **{flag: bool(r[flag]) for flag in flags}} for r in records]


def test_the_loop_closes(stack: Stack, shared_data: Path | None) -> None:
    stack.write_spec(
        MODEL,
        training={"budget": {"trials": 8, "seconds": 25, "workers": 2}},
        monitoring={"schedule": None},
        deployment={"watch": {"seconds": 3}},
    )
    stack.command("up")
    landing = stack.home / "landing" / MODEL

    # Winter and spring land as separate files; one run takes all of them, one training answers.
    for month in (1, 2, 3):
        bike.drop(bike.month(shared_data, 2011, month), landing, f"2011-{month:02}.csv")
    tried = stack.wait_staged(MODEL, 1, seconds=400)
    first = stack.wait_released(MODEL, 1, seconds=120)
    assert first.service.endpoint != tried.service.endpoint
    assert first.service.image_digest == tried.service.image_digest, "what staging had verified"
    assert stack.resources(MODEL).registry.version_of(MODEL, "champion") == 1

    summer = bike.hours(shared_data, dt.date(2011, 6, 1), dt.date(2011, 8, 1))
    answer = predict(first.service.endpoint, requests_of(summer.head(400), stack))
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == 400
    assert answer.headers["X-Model-Version"] == "1"

    # A file that breaks the contract is set aside with its reason; the rest goes on.
    (landing / "broken.csv").write_text("instant,dteday\n1,2011-04-01\n")
    wait_for(
        "the broken file in quarantine",
        lambda: [o for o in stack.ledger.file_outcomes(MODEL) if "broken.csv" in o.uri],
        seconds=90,
    )

    # Summer lands. New rows alone do not retrain this model; the drift they bring does.
    bike.drop(summer, landing, "2011-summer.csv")
    wait_for(
        "summer in the lake",
        lambda: [o for o in stack.ledger.file_outcomes(MODEL) if "summer" in o.uri],
        seconds=90,
    )
    stack.airflow.trigger(f"{MODEL}.monitor", {}, "the test plays the person on duty")
    # It is given a share of real requests, and is compared with the first by what both answer.
    address = first.service.endpoint
    with Passerby(requests_of(summer, stack), lambda: address) as passerby:
        stack.wait_staged(MODEL, 2, seconds=400)
        second = stack.wait_released(MODEL, 2, seconds=300)
    assert passerby.lost == []
    assert passerby.answered.keys() == {"1", "2"}
    assert second.service.endpoint == address, "clients know one address"

    registry = stack.resources(MODEL).registry
    assert registry.version_of(MODEL, "champion") == 2
    assert registry.version_of(MODEL, "staging") == 2
    [drift, *_] = stack.ledger.drift_reports(MODEL, 5)
    assert drift.verdict.verdict == "drift"
    assert "temp" in drift.verdict.drifted_columns
    answer = predict(second.service.endpoint, requests_of(summer.head(3), stack))
    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model-Version"] == "2"

    # The earlier services are gone, the spare too, and nothing was trained twice.
    for earlier in (tried, first):
        runtime = runtime_of(earlier.service, stack.settings)
        assert runtime.state(earlier.service) == "gone", earlier.environment
    live = stack.ledger.deployments(MODEL, ["live", "spare"])
    assert {(record.environment, record.version) for record in live} == {
        ("staging", 2),
        ("production", 2),
    }
    told = [contents(entry.document) for entry in stack.ledger.journal(MODEL)]
    assert [said["to_version"] for said in told if said["kind"] == "released"] == [1, 2]
    moved = [(said["to_version"], said["why"]) for said in told if said["kind"] == "advanced"]
    assert moved[0][0] == 1
    assert "no version answers in production that it could be compared with" in moved[0][1]
    steps = [why.partition(" of the requests")[0] for version, why in moved if version == 2]
    assert steps[:3] == ["canary: first 0.1", "canary: 0.5", "canary: all"]
    assert registry.version_of(MODEL, "challenger") == 2


def test_what_landed_before_is_not_ingested_again(stack: Stack) -> None:
    before = len(stack.ledger.file_outcomes(MODEL))
    run = stack.airflow.trigger(f"{MODEL}.ingest", {}, "again")
    wait_for(
        "the run to end", lambda: stack.airflow.run(run.dag_id, run.run_id).is_over, seconds=90
    )
    assert stack.airflow.run(run.dag_id, run.run_id).state == "success"
    assert len(stack.ledger.file_outcomes(MODEL)) == before
