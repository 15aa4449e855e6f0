"""The electricity model with its landing zone on S3, and a scheduler that dies in mid-training."""

import datetime as dt
import gzip
import os
import signal
from pathlib import Path

import polars as pl
import pytest
import requests

from include.evergreen.cli.stack.state import read_state
from include.evergreen.simulator import simulate_electricity
from tests.end_to_end.conftest import Stack
from tests.end_to_end.waiting import wait_for
from tests.s3_server import s3_client, s3_environment, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
MODEL = "electricity"
BUCKET = "grid"


def half_hours(shared_data: Path | None, days: int) -> pl.DataFrame:
    if shared_data is None:
        return simulate_electricity(dt.date(1996, 5, 7), days, seed=5)
    with gzip.open(shared_data / "electricity_half_hourly.csv.gz") as file:
        return pl.read_csv(file.read()).head(days * 48)


def test_a_file_on_s3_becomes_the_champion_though_the_scheduler_is_killed(
    stack: Stack, shared_data: Path | None
) -> None:
    with s3_server() as endpoint:
        stack.environment.update(s3_environment(endpoint))
        s3 = s3_client(endpoint)
        s3.create_bucket(Bucket=BUCKET)
        stack.write_spec(
            MODEL,
            data={"landing": f"s3://{BUCKET}/incoming/"},
            training={"budget": {"trials": 6, "seconds": 25, "workers": 2}},
            monitoring={"schedule": None},
            deployment={"watch": {"seconds": 3}},
        )
        stack.command("up")
        rows = half_hours(shared_data, days=90)
        s3.put_object(Bucket=BUCKET, Key="incoming/spring.csv", Body=rows.write_csv().encode())

        wait_for("a training", lambda: stack.ledger.latest_training(MODEL), seconds=180)
        kill_scheduler(stack)

        stack.wait_staged(MODEL, 1, seconds=500)
        live = stack.wait_released(MODEL, 1, seconds=180)
        names = list(stack.resources(MODEL).spec.feature_columns)
        time = stack.resources(MODEL).spec.data.time
        records = rows.tail(5).select([time, *names]).to_dicts()
        answer = requests.post(
            f"{live.service.endpoint}/invocations", json={"dataframe_records": records}, timeout=10
        )
        assert answer.status_code == 200, answer.text
        predictions = answer.json()["predictions"]
        assert {p["prediction"] for p in predictions} <= {0, 1}
        assert all(abs(p["probability_0"] + p["probability_1"] - 1) < 1e-6 for p in predictions)

        # One file, one training, one version: the death of the scheduler doubled nothing.
        assert len(stack.ledger.file_outcomes(MODEL)) == 1
        deployments = [(d.environment, d.version) for d in stack.ledger.deployments(MODEL)]
        assert sorted(deployments) == [("production", 1), ("staging", 1)]
        assert stack.resources(MODEL).registry.version_of(MODEL, "champion") == 1


def kill_scheduler(stack: Stack) -> None:
    """SIGKILL to the scheduler alone, as the out-of-memory killer would; the stack restarts it."""
    state = read_state(stack.home)
    assert state is not None
    victim = state.components["scheduler"].pid
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        now = read_state(stack.home)
        scheduler = now.components.get("scheduler") if now else None  # absent while none runs
        return scheduler is not None and scheduler.pid != victim

    wait_for("another scheduler", replaced, seconds=60)
