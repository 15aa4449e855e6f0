"""A study outlives its workers, whoever is killed and whenever."""

import multiprocessing as mp
import os
import signal
import time

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.studies import Studies
from include.evergreen.errors import TrainingFailed

FIRST = ({"kind": "a", "a.x": 0.25}, {"kind": "b"})


@pytest.fixture
def studies(tmp_path) -> Studies:
    return Studies(evergreen_settings.load({"EVERGREEN_HOME": str(tmp_path)}))


def opened(studies, seed=1, first=lambda: FIRST, greater=False):
    return studies.open("key", greater_is_better=greater, seed=seed, first=first)


def run(study) -> float:
    trial = study.ask()
    kind = trial.choice("kind", ["a", "b"])
    value = trial.real("a.x", 0, 1) if kind == "a" else trial.integer("b.y", 1, 9) / 10
    study.complete(trial.number, value)
    return value


def test_what_comes_first_is_tried_first_and_enqueued_once_whoever_opens(studies):
    opened(studies)
    opened(studies, seed=2)
    study = opened(studies, first=lambda: pytest.fail("asked again"))
    for _ in range(4):
        run(study)
    trials = study.trials()
    assert trials[0].params == FIRST[0]
    assert trials[1].params["kind"] == "b"
    assert [t.params == FIRST[0] for t in trials].count(True) == 1


def test_the_best_trial_is_the_first_of_the_best(studies):
    study = opened(studies, first=tuple)
    for value in (0.5, 0.2, 0.2, 0.9):
        study.complete(study.ask().number, value)
    assert (study.best().number, study.best().value) == (1, 0.2)
    greatest = studies.open("other", greater_is_better=True, seed=1)
    for value in (0.5, 0.9, 0.9):
        greatest.complete(greatest.ask().number, value)
    assert greatest.best().number == 1


def test_a_search_without_a_complete_trial_says_why(studies):
    study = opened(studies, first=tuple)
    study.fail(study.ask().number, "ValueError('the matrix is empty')")
    with pytest.raises(TrainingFailed) as raised:
        study.best()
    assert str(raised.value) == (
        "None of 1 trials completed: ValueError('the matrix is empty'). Mend the data, the "
        "estimators or training.budget of the spec, then trigger train again."
    )


def test_a_dead_workers_trial_fails_and_what_it_had_to_try_first_is_tried_again(studies):
    study = opened(studies)
    dead, alive = study.ask(), study.ask()
    assert dead.choice("kind", ["a", "b"]) == "a"
    assert study.fail_abandoned(lambda: {alive.number}) == [dead.number]
    states = {trial.number: trial.state for trial in study.trials()}
    assert states[dead.number] == "failed"
    assert states[alive.number] == "running"
    again = study.ask()
    assert (again.choice("kind", ["a", "b"]), again.real("a.x", 0, 1)) == ("a", 0.25)


def test_a_trial_told_twice_keeps_its_first_word(studies):
    study = opened(studies, first=tuple)
    trial = study.ask()
    study.fail(trial.number, "its worker died")
    study.complete(trial.number, 0.1)
    assert study.trials()[0].state == "failed"


def test_two_workers_seeds_do_not_repeat_each_other(studies):
    one, two = opened(studies, 1, tuple), opened(studies, 2, tuple)
    assert one.ask().real("x", 0, 1) != two.ask().real("x", 0, 1)


def test_a_line_torn_by_a_kill_is_cut_off(studies, tmp_path):
    run(opened(studies, first=tuple))
    journal = tmp_path / "studies" / "key.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')
    study = opened(studies, first=tuple)
    run(study)
    assert [trial.state for trial in opened(studies).trials()] == ["complete", "complete"]


def _hold_the_lock(home: str, ready) -> None:
    from include.evergreen.adapters.studies.locks import JournalLock

    lock = JournalLock(__import__("pathlib").Path(home) / "studies" / "key.journal")
    lock.acquire()
    ready.set()
    time.sleep(600)


def test_a_lock_whose_holder_was_killed_is_free(studies, tmp_path):
    run(opened(studies, first=tuple))
    context = mp.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold_the_lock, args=(str(tmp_path), ready))
    holder.start()
    assert ready.wait(60)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    run(opened(studies))
    assert len(opened(studies).trials()) == 2


def test_the_plots_are_images(studies, tmp_path):
    study = opened(studies)
    for _ in range(8):
        run(study)
    written = study.write_plots(tmp_path / "plots")
    assert "optimization_history.png" in {path.name for path in written}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)


def test_a_study_of_one_trial_has_its_history_and_nothing_fails(studies, tmp_path):
    study = opened(studies)
    run(study)
    written = {path.name for path in study.write_plots(tmp_path / "plots")}
    assert "optimization_history.png" in written
