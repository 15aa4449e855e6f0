"""The budget is exact, whoever dies; what the champion was made of is tried first."""

import datetime as dt
import multiprocessing as mp
import os
import signal
import time

import pytest

from include.evergreen.contracts import Judgement, Snapshot
from include.evergreen.effects import FailpointReached
from include.evergreen.errors import TrainingFailed
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training import scoring, tune
from include.evergreen.stages.training.recipes import Kitchen
from include.evergreen.stages.training.search_spaces import Recipe
from include.evergreen.stages.training.training_steps import open_study


def frozen(bike, rides, **training) -> Snapshot:
    bike.change(training={"estimators": ["ridge"], **training})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot = bike.freeze(bike.claim())
    assert snapshot is not None
    return snapshot


def _work(spec, settings, snapshot, worker, pause_s) -> None:
    fit = Kitchen.fit

    def slowly(*args, **kwargs):
        time.sleep(pause_s)
        return fit(*args, **kwargs)

    Kitchen.fit = slowly  # type: ignore[method-assign]
    tune.run_worker(Resources(spec, settings), Snapshot.from_json(snapshot), worker)


def start(bike, snapshot, worker: int, pause_s: float):
    process = mp.get_context("spawn").Process(
        target=_work, args=(bike.spec, bike.settings, snapshot.as_json(), worker, pause_s)
    )
    process.start()
    return process


def states(bike, snapshot) -> list[str]:
    return [trial.state for trial in open_study(bike.resources, snapshot).trials()]


def test_two_workers_of_which_one_is_killed_spend_exactly_the_budget(bike, rides):
    snapshot = frozen(bike, rides, budget={"trials": 7, "seconds": 600, "workers": 2})
    killed, other = start(bike, snapshot, 0, 0.5), start(bike, snapshot, 1, 0.1)
    ledger = bike.resources.ledger
    until = time.monotonic() + 120
    while time.monotonic() < until:
        held = [t for t in ledger.tickets(snapshot.key) if str(t.worker).startswith("0/")]
        if any(t.state == "taken" and t.trial_number is not None for t in held):
            break
        time.sleep(0.05)
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    other.join()
    assert other.exitcode == 0
    spent = sum(t.state in ("complete", "pruned") for t in ledger.tickets(snapshot.key))
    assert spent == 6, "the other worker leaves the dead one's ticket alone until its lease ends"
    done = bike.tune(snapshot, 0)
    assert done["complete"] + done["pruned"] == 1, "its next try takes it up at once"
    found = states(bike, snapshot)
    assert found.count("failed") == 1, "the killed worker lost the trial it was running"
    assert found.count("complete") + found.count("pruned") == 7
    assert "running" not in found
    assert len(ledger.tickets(snapshot.key)) == 7


def test_a_worker_that_dies_before_it_tells_the_study_has_spent_nothing(bike, rides, monkeypatch):
    snapshot = frozen(bike, rides, budget={"trials": 1, "seconds": 600, "workers": 1})
    with monkeypatch.context() as dying:
        dying.setenv("EVERGREEN_FAILPOINT", "ledger.finish_ticket:after:1:raise")
        with pytest.raises(FailpointReached):
            tune.run_worker(bike.resources, snapshot, 0)
    assert [t.state for t in bike.resources.ledger.tickets(snapshot.key)] == ["complete"]
    done = tune.run_worker(bike.resources, snapshot, 0)
    assert (done["complete"], done["failed"]) == (1, 0)
    assert sorted(states(bike, snapshot)) == ["complete", "failed"]


def test_a_worker_that_was_dead_until_the_deadline_tries_one_recipe(bike, rides):
    snapshot = frozen(bike, rides, budget={"trials": 5, "seconds": 1, "workers": 1})
    began = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    ledger = bike.resources.ledger
    run = ledger.training(snapshot.key).owner
    ledger.open_study(snapshot.key, snapshot.budget, began, run)
    assert ledger.take_ticket(snapshot.key, "0/dead", began) == 0
    late = began + dt.timedelta(hours=1)
    done = tune.run_worker(bike.resources, snapshot, 0, clock=lambda: late)
    assert (done["complete"], done["failed"]) == (1, 0)
    assert open_study(bike.resources, snapshot).best().value > 0


def test_the_champions_parameters_are_trial_0_and_defaults_follow(bike, rides):
    bike.change(retrain={"min_new_rows": 1})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    candidate = bike.train()[3]
    bike.crown(candidate)
    recipe = bike.resources.registry.version_info("bike_demand", candidate.version).recipe
    bike.ingest(rides("2011-04-01", "2011-09-01"))
    snapshot = bike.freeze(bike.claim())
    bike.tune(snapshot, 1)
    trials = open_study(bike.resources, snapshot).trials()
    assert Recipe.from_trial(trials[0].params) == Recipe(**recipe)
    tried = [trial.params["estimator"] for trial in trials[1:4]]
    assert set(tried) <= set(bike.spec.training.estimators)


def test_no_trial_starts_after_the_deadline_and_none_before_it_is_lost(bike, rides):
    snapshot = frozen(bike, rides, budget={"trials": 50, "seconds": 10, "workers": 1})
    moment = [dt.datetime(2026, 3, 1, tzinfo=dt.UTC)]

    def clock() -> dt.datetime:
        moment[0] += dt.timedelta(seconds=1)
        return moment[0]

    done = tune.run_worker(bike.resources, snapshot, 0, clock=clock)
    assert 1 <= done["complete"] + done["pruned"] <= 6
    assert done["failed"] == 0


def test_one_failing_trial_is_told_fail_with_its_reason_and_the_search_goes_on(
    bike, rides, monkeypatch
):
    snapshot = frozen(bike, rides, budget={"trials": 4, "seconds": 600, "workers": 1})
    calls = []

    def fails_once(*args, **kwargs):
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("the matrix is singular")
        return score(*args, **kwargs)

    score = scoring.score
    monkeypatch.setattr(tune.scoring, "score", fails_once)
    done = bike.tune(snapshot)
    assert (done["failed"], done["complete"] + done["pruned"]) == (1, 3)
    trials = open_study(bike.resources, snapshot).trials()
    assert trials[0].reason == "ValueError('the matrix is singular')"


def test_all_trials_failing_is_an_error_that_names_the_reason(bike, rides, monkeypatch):
    snapshot = frozen(bike, rides, budget={"trials": 3, "seconds": 600, "workers": 1})
    monkeypatch.setattr(tune.scoring, "score", lambda *args, **kwargs: float("nan"))
    bike.tune(snapshot)
    with pytest.raises(TrainingFailed, match="None of 3 trials completed: rmse of fold 0 is nan"):
        bike.fit(snapshot)
    record = bike.resources.ledger.training(snapshot.key)
    assert record.state == "failed"
    assert len(bike.resources.ledger.pending_requests("bike_demand")) == 1, "they stay pending"


def test_once_a_verdict_stands_no_further_trial_can_slip_another_recipe_under_it(bike, rides):
    snapshot = frozen(bike, rides)
    word = Judgement("won", "judged before its worker came back")
    bike.resources.ledger.record_judgement(snapshot.key, word, tune.utc_now())
    assert bike.tune(snapshot)["complete"] == 0
    assert set(states(bike, snapshot)) <= {"waiting"}
