"""Events are lost in every way Airflow loses them, and still every row meets a training.

Replays apache/airflow#56050 (events that arrive during a run with max_active_runs=1) and what is
like it: a DAG that is paused, an Airflow that is down, a "no" that only time lifts. Monitoring
has no cron here, so nothing but the ledger can remember. `make chaos` tries all of them; what is
marked so is a minute of waiting each, and `make test` leaves it out.
"""

import datetime as dt
import time
from pathlib import Path

import pytest

from include.evergreen.adapters.ledger import Decision
from include.evergreen.cli.airflow_api import DagRun
from include.evergreen.stages.training.retrain_facts import count_rows
from tests.end_to_end import bike
from tests.end_to_end.conftest import Stack
from tests.end_to_end.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
MODEL = "bike_demand"
TRAIN = f"{MODEL}.train"


def write_spec(stack: Stack, *, trials: int, seconds: int, **retrain) -> None:
    stack.write_spec(
        MODEL,
        training={
            "estimators": ["hist_gradient_boosting"],
            "budget": {"trials": trials, "seconds": seconds, "workers": 1},
        },
        retrain={"min_new_rows": 1, **retrain},
        deployment={"runtime": "process", "watch": {"seconds": 1}},
        monitoring={"schedule": None},
    )


class Months:
    """Lands the months of 2011 one by one and waits until each is in the lake."""

    def __init__(self, stack: Stack, shared_data: Path | None) -> None:
        self.stack, self.shared_data = stack, shared_data

    def drop(self, number: int) -> None:
        rows = bike.month(self.shared_data, 2011, number)
        bike.drop(rows, self.stack.home / "landing" / MODEL, f"2011-{number:02}.csv")

    def land(self, number: int) -> None:
        name = f"2011-{number:02}.csv"
        self.drop(number)
        wait(
            self.stack,
            f"{name} in the lake",
            lambda: [o for o in self.stack.ledger.file_outcomes(MODEL) if o.uri.endswith(name)],
        )


@pytest.fixture(scope="module")
def months(stack: Stack, shared_data: Path | None) -> Months:
    return Months(stack, shared_data)


def wait(stack: Stack, what: str, look, seconds: float = 400):
    try:
        return wait_for(what, look, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{stack.story(MODEL)}") from error


def wait_covered(stack: Stack) -> None:
    """Every request was answered, and no row is younger than the last training that was judged."""
    wait(
        stack,
        "every row in a training",
        lambda: (
            not stack.ledger.pending_requests(MODEL) and count_rows(stack.resources(MODEL))[1] == 0
        ),
    )


def runs(stack: Stack, stage: str = "train") -> list[DagRun]:
    return stack.airflow.runs(f"{MODEL}.{stage}", "2026-01-01T00:00:00Z", limit=100)


def pause(stack: Stack, paused: bool) -> None:
    stack.airflow._call("PATCH", f"/dags/{TRAIN}", {"is_paused": paused})


def last(stack: Stack) -> Decision:
    decision = stack.ledger.last_decision(MODEL, "train")
    assert decision is not None
    return decision


def test_events_during_a_run_are_not_forgotten(stack: Stack, months: Months) -> None:
    write_spec(stack, trials=5000, seconds=75)  # longer than three files take
    stack.command("up")
    for number in (1, 2, 3):
        months.drop(number)
    first = wait(stack, "a training", lambda: stack.ledger.latest_training(MODEL))
    for number in (4, 5, 6):
        months.land(number)
    assert stack.ledger.training(first.key).judgement is None, "three events came during one run"
    assert [run.state for run in runs(stack)].count("running") == 1
    write_spec(stack, trials=2, seconds=60)
    wait_covered(stack)
    keys = {answer.key for answer in stack.ledger.ended_trainings(MODEL, 50)}
    assert first.key in keys
    assert 2 <= len(keys) <= 4, "the rows that came meanwhile were trained on, together or not"


def test_what_came_while_the_dag_was_paused_is_not_forgotten(stack: Stack, months: Months) -> None:
    wait(stack, "train to be idle", lambda: all(run.is_over for run in runs(stack)))
    pause(stack, paused=True)
    before = last(stack).last_seen
    months.land(7)
    wait(stack, "the event for it", lambda: all(r.is_over for r in runs(stack, "ingest")))
    time.sleep(5)
    assert stack.ledger.pending_requests(MODEL)
    assert last(stack).last_seen == before, "a paused DAG looks at nothing"
    pause(stack, paused=False)
    wait_covered(stack)


@pytest.mark.chaos
def test_what_came_while_airflow_was_down_is_not_forgotten(stack: Stack, months: Months) -> None:
    stack.command("down")
    months.drop(8)
    # As if ingest or monitor had died between its row in the ledger and the event for it.
    now = dt.datetime.now(dt.UTC)
    stack.ledger.request_retrain(MODEL, "new_data", "a request without an event", {}, now)
    stack.command("up")
    months.land(8)
    wait_covered(stack)


def test_a_request_without_any_event_is_looked_at(stack: Stack) -> None:
    before = last(stack)
    now = dt.datetime.now(dt.UTC)
    stack.ledger.request_retrain(MODEL, "new_data", "another without an event", {}, now)
    wait(stack, "a look", lambda: last(stack).last_seen > before.last_seen)
    decision = last(stack)
    assert decision.verdict == "not_yet"
    assert decision.reason.startswith("0 new rows since the last training, 1 are required")
    assert [r.cause for r in stack.ledger.pending_requests(MODEL)] == ["another without an event"]


@pytest.mark.chaos
def test_a_no_that_time_lifts_is_shown_and_lifts_itself(stack: Stack, months: Months) -> None:
    ended = stack.ledger.ended_trainings(MODEL, 1)[0].ended_at
    cooldown_s = (dt.datetime.now(dt.UTC) - ended).total_seconds() + 60
    write_spec(stack, trials=2, seconds=60, cooldown_s=cooldown_s)
    months.land(9)
    wait(stack, "a no", lambda: "retrain.cooldown_s" in last(stack).reason)
    held = last(stack)
    assert held.verdict == "not_yet"

    def shown() -> str:
        told = [
            stack.airflow._call(
                "GET",
                f"/dags/{TRAIN}/dagRuns/{run.run_id}/taskInstances/claim_requests/xcomEntries",
            )["xcom_entries"]
            for run in runs(stack)[:3]
        ]
        return str(told)

    assert "'why'" in shown()
    wait_covered(stack)
    until = dt.datetime.fromisoformat(held.details["until"])
    assert stack.ledger.ended_trainings(MODEL, 1)[0].ended_at >= until
