"""What the watch over a loop takes for the end of it, where a run of train failed."""

import datetime as dt
from types import SimpleNamespace

import pytest

from include.evergreen.cli.airflow_api import DagRun, TaskRun
from include.evergreen.cli.loop.watch import CARD_TASK, Watch

FAILED = DagRun("m.train", "r", "failed", "manual", "", "", "")


class FakeAirflow:
    def __init__(self, *failed: str) -> None:
        self._failed = failed

    def tasks(self, _run: DagRun) -> list[TaskRun]:
        return [TaskRun("claim_requests", -1, "success", 1)] + [
            TaskRun(name, -1, "failed", 3) for name in self._failed
        ]

    def log_lines(self, _run: DagRun, _task: TaskRun) -> list[str]:
        return ["MemoryError: too many rows"]


@pytest.mark.parametrize(
    ("failed", "waiting", "is_the_end"),
    [
        ([CARD_TASK], [1], False),
        ([CARD_TASK], [], True),
        (["register_candidate", CARD_TASK], [1], True),
        (["fit_challenger"], [1], True),
    ],
)
def test_a_registered_version_goes_on_without_its_card(
    installation, monkeypatch: pytest.MonkeyPatch, failed, waiting, is_the_end
):
    """A challenger that lost leaves nothing to go on with: its card is the end, and it is told."""
    watch = Watch(installation, "m", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    ledger = SimpleNamespace(candidates_undeployed=lambda _model: waiting)
    monkeypatch.setattr(Watch, "ledger", ledger)
    monkeypatch.setattr(watch, "airflow", lambda: FakeAirflow(*failed))
    _, failure = watch._tasks({"train": [FAILED]})
    assert bool(failure) is is_the_end
    if is_the_end:
        assert failure == f"m.train, task {failed[0]} failed: MemoryError: too many rows"


@pytest.mark.parametrize(("stage", "at_work"), [("train", True), ("release", False)])
def test_a_release_that_waits_for_approval_is_no_work_of_the_loop(stage, at_work):
    """Else nobody would be told that a challenger lost while the one before waits for a person."""
    goes_on = DagRun(f"m.{stage}", "r", "running", "asset_triggered", "", "", "")
    assert Watch._is_at_work({"ingest": [], stage: [goes_on]}) is at_work


def test_a_release_that_failed_is_not_the_end_of_the_loop(installation, monkeypatch):
    watch = Watch(installation, "m", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    monkeypatch.setattr(Watch, "ledger", SimpleNamespace())
    monkeypatch.setattr(watch, "airflow", lambda: FakeAirflow("watch_release"))
    runs = {"release": [DagRun("m.release", "r", "failed", "asset_triggered", "", "", "")]}
    assert watch._tasks(runs) == ((), "")
    said = watch._failure_of("release", runs)
    assert said == "m.release, task watch_release failed: MemoryError: too many rows"


def test_the_task_that_is_waited_for_by_nothing_is_the_dag_s(project_root):
    source = (project_root / "dags" / "train.py").read_text()
    assert f"def {CARD_TASK}(" in source
    assert f"registered >> {CARD_TASK}(" in source
