"""Two schedulers on PostgreSQL, one killed at work, and each event 100 times: one version.

Airflow's records and the ledger are databases of one PostgreSQL. One file lands. Its event, and
those of what follows from it, come again and again from several senders at once, while both
schedulers run; the one that runs the search is killed.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import requests

from include.evergreen.cli.stack.state import read_state
from tests import postgres
from tests.end_to_end import bike
from tests.end_to_end.conftest import Stack
from tests.end_to_end.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
MODEL = "bike_demand"
STAGES = ("ingest", "train", "deploy", "release")
#: What wakes each stage.
EVENTS = ("file_landed", "data_ingested", "candidate_registered", "staged")
EACH = 100
SENDERS = 5


@dataclass
class Databases:
    """The two databases, and the Airflow one's rows."""

    cluster: postgres.Cluster
    airflow: str
    ledger: str

    def rows(self, statement: str) -> list[tuple]:
        return self.cluster.execute(statement, self.airflow)

    def schedulers(self) -> set[int]:
        """The job of every scheduler that ever ran: a new one with each start."""
        return {job for (job,) in self.rows("SELECT id FROM job WHERE job_type = 'SchedulerJob'")}

    def run_states(self, stage: str) -> Counter[str]:
        """State -> how many runs of a stage are in it."""
        runs = self.rows(f"SELECT state FROM dag_run WHERE dag_id = '{MODEL}.{stage}'")
        return Counter(state for (state,) in runs)

    def is_quiet(self) -> bool:
        """No run of the model is open, and no event waits to become one."""
        [(waiting,)] = self.rows(
            "SELECT (SELECT count(*) FROM asset_dag_run_queue) + (SELECT count(*) FROM dag_run "
            f"WHERE dag_id LIKE '{MODEL}.%' AND state IN ('queued', 'running'))"
        )
        return waiting == 0

    def who_queued(self) -> Counter[int]:
        """Scheduler job -> how many tries of our tasks it sent to its executor."""
        tries = " UNION ALL ".join(
            f"SELECT queued_by_job_id FROM {table} WHERE queued_by_job_id IS NOT NULL "
            f"AND dag_id LIKE '{MODEL}.%'"
            for table in ("task_instance", "task_instance_history")
        )
        return Counter(job for (job,) in self.rows(tries))


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with postgres.running() as cluster:
        yield Databases(cluster, cluster.new_database(), cluster.new_database())


@pytest.fixture(scope="module")
def busy(databases: Databases, stack: Stack) -> Stack:
    """A stack with two schedulers, up. The databases outlive it."""
    cluster = databases.cluster
    stack.environment |= {
        "EVERGREEN_AIRFLOW_DATABASE": cluster.url(databases.airflow),
        "EVERGREEN_LEDGER_URL": cluster.url(databases.ledger),
        "EVERGREEN_SCHEDULERS": "2",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    }
    stack.write_spec(
        MODEL,
        training={
            "estimators": ["hist_gradient_boosting"],
            "budget": {"trials": 5000, "seconds": 15, "workers": 1},
        },
        retrain={"min_new_rows": 1},
        deployment={"runtime": "process", "watch": {"seconds": 3}},
        monitoring={"schedule": None},
    )
    stack.command("up")
    wait_for("both schedulers", lambda: len(databases.schedulers()) == 2, 60)
    return stack


def wait(stack: Stack, what: str, look, seconds: float = 300):
    try:
        return wait_for(what, look, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{stack.story(MODEL)}") from error


def send_events(stack: Stack, count: int) -> None:
    """Each of the events so often, one after the other."""
    api = stack.airflow
    known = {
        asset["name"]: asset["id"] for asset in api._call("GET", "/assets?limit=100")["assets"]
    }
    for _ in range(count):
        for event in EVENTS:
            body = {"asset_id": known[f"{MODEL}.{event}"], "extra": {}}
            api._call("POST", "/assets/events", body)
    api.close()


def kill_the_scheduler_that_searches(stack: Stack, databases: Databases) -> int:
    """SIGKILL to the scheduler whose worker runs the trials; its pid, 0 while none does."""
    state = read_state(stack.home)
    assert state is not None
    for (task,) in databases.rows(
        "SELECT id FROM task_instance WHERE task_id = 'run_trials' AND state = 'running'"
    ):
        for name in ("scheduler", "scheduler-2"):
            pid = state.components[name].pid
            workers = psutil.Process(pid).children()
            if any(str(task) in " ".join(worker.cmdline()) for worker in workers):
                os.kill(pid, signal.SIGKILL)
                return pid
    return 0


def test_one_file_and_its_event_a_hundred_times(
    busy: Stack, databases: Databases, shared_data: Path | None
) -> None:
    rows = bike.month(shared_data, 2011, 1)
    first = databases.schedulers()
    with ThreadPoolExecutor(SENDERS) as senders:
        half = EACH // 2 // SENDERS
        sent = [senders.submit(send_events, busy, half) for _ in range(SENDERS)]
        bike.drop(rows, busy.home / "landing" / MODEL, "2011-01.csv")
        wait(busy, "the search", lambda: kill_the_scheduler_that_searches(busy, databases))
        sent += [senders.submit(send_events, busy, half) for _ in range(SENDERS)]
        for sending in sent:
            sending.result()
    busy.wait_staged(MODEL, 1, seconds=300)
    [again] = wait(busy, "another scheduler", lambda: databases.schedulers() - first)

    def works_again() -> bool:
        send_events(busy, 1)
        return databases.who_queued()[again] > 0

    wait(busy, "work for it", works_again)
    wait(busy, "the last run", databases.is_quiet)
    live = busy.wait_released(MODEL, 1, seconds=60)
    answer = requests.get(f"{live.service.endpoint}/ping", timeout=10)
    assert answer.status_code == 200, answer.text


def test_the_file_is_in_the_lake_once(busy: Stack, shared_data: Path | None) -> None:
    [outcome] = busy.ledger.file_outcomes(MODEL)
    assert outcome.uri.endswith("2011-01.csv")
    in_lake = busy.resources(MODEL).lake.scan(MODEL, "rows").collect()
    assert in_lake.height == bike.month(shared_data, 2011, 1).height
    assert in_lake["instant"].n_unique() == in_lake.height


def test_there_is_one_training_one_version_and_one_deployment_in_each_environment(
    busy: Stack, databases: Databases
) -> None:
    trainings = databases.cluster.execute(
        "SELECT state, version FROM evergreen_trainings", databases.ledger
    )
    assert trainings == [("registered", 1)]
    resources = busy.resources(MODEL)
    versions = resources.registry.version_states(MODEL, look_at_bundles=True)
    assert [(state.version, state.has_bundle) for state in versions] == [(1, True)]
    assert resources.registry.aliases(MODEL).keys() >= {"champion", "staging"}
    deployments = busy.ledger.deployments(MODEL)
    assert sorted((d.environment, d.version, d.state) for d in deployments) == [
        ("production", 1, "live"),
        ("staging", 1, "live"),
    ]
    services = resources.runtime.find()
    assert [resources.runtime.state(service) for service in services] == ["running"] * 2


def test_no_run_failed_and_each_had_a_reason(busy: Stack, databases: Databases) -> None:
    for stage in STAGES:
        found = databases.run_states(stage)
        assert found.keys() == {"success"}, stage
        assert found["success"] > 1, f"{stage} was woken once only: that proves nothing"
    decisions = [seen for seen in busy.ledger.decisions(MODEL, 500) if seen.stage == "train"]
    assert sum(seen.count for seen in decisions) >= databases.run_states("train")["success"]
    assert all(seen.reason for seen in decisions)
    assert busy.ledger.pending_requests(MODEL) == []


def test_each_scheduler_did_its_part(databases: Databases) -> None:
    """The one that was killed, the one that took over, and the one that was started again."""
    [(killed,)] = databases.rows(
        "SELECT DISTINCT queued_by_job_id FROM task_instance_history WHERE task_id = 'run_trials'"
    )
    queued = databases.who_queued()
    assert queued.keys() == databases.schedulers()
    assert len(queued) == 3, queued
    assert killed != max(queued), "one of the first two, in the middle of its search"
