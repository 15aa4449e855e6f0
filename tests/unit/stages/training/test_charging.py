"""Compute seconds are paid before they are used: by the work that ends and by the one that dies."""

import datetime as dt
import multiprocessing
import os
import signal
import time

import pytest

from include.evergreen.contracts import Snapshot
from include.evergreen.errors import TrainingFailed
from include.evergreen.stages.clock import utc_now
from include.evergreen.stages.training.charging import charging
from tests.end_to_end.waiting import wait_for
from tests.unit.adapters.ledger.facts import snapshot

LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def opened(bike) -> Snapshot:
    made = snapshot(model="bike_demand")
    bike.resources.ledger.open_training(made, "run", LONG_AGO)
    return made


def seconds(bike) -> float:
    return bike.resources.ledger.training("key1").compute_seconds


def test_work_pays_ahead_while_it_runs_and_gets_back_what_it_did_not_use(bike, opened):
    with charging(bike.resources, opened, "fit", utc_now, slice_s=30):
        assert 30 <= seconds(bike) < 31
        time.sleep(0.2)
    assert 0.2 <= seconds(bike) < 15


def test_long_work_pays_slice_by_slice(bike, opened):
    with charging(bike.resources, opened, "fit", utc_now, slice_s=0.2):
        began = time.monotonic()
        wait_for("the fourth slice", lambda: seconds(bike) > 0.7, seconds=30, poll_s=0.05)
        assert time.monotonic() - began > 0.4, "no more than a slice is paid ahead"


def test_work_that_fails_has_paid_for_what_it_took(bike, opened):
    def fail() -> None:
        with charging(bike.resources, opened, "fit", utc_now, slice_s=30):
            time.sleep(0.1)
            raise TrainingFailed("no trial completed")

    with pytest.raises(TrainingFailed):
        fail()
    assert 0.1 <= seconds(bike) < 15


def _die(resources, made) -> None:
    with charging(resources, made, "trials/0", utc_now, slice_s=10):
        os.kill(os.getpid(), signal.SIGKILL)


def test_each_crash_of_a_loop_costs_a_slice(bike, opened):
    context = multiprocessing.get_context("fork")
    for crash in (1, 2, 3):
        child = context.Process(target=_die, args=(bike.resources, opened))
        child.start()
        child.join(30)
        assert child.exitcode == -signal.SIGKILL
        assert 10 * crash <= seconds(bike) < 10 * crash + 1


def test_a_ledger_without_the_training_stops_no_work(bike):
    with charging(bike.resources, snapshot("unknown"), "fit", utc_now):
        pass
    assert bike.resources.ledger.compute_since("bike_demand", LONG_AGO) == []
