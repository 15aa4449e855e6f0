"""`maintain` hands its form to the stage: which models, how long things stay, whether to act."""

import datetime as dt
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from include.evergreen import dag_kit as kit
from include.evergreen import settings
from include.evergreen.errors import InputError, SettingsError
from include.evergreen.stages.maintain import maintain as stage
from include.evergreen.stages.maintain.maintain import Outcome


@pytest.fixture
def started(write_models, project_root: Path, monkeypatch: pytest.MonkeyPatch):
    """Run the task with a form; what reached the stage."""
    write_models("alpha", "beta")
    bag = DagBag(dag_folder=project_root / "dags" / "maintain.py")
    (task,) = bag.dags["maintain"].tasks
    seen: dict = {}

    def maintain(installation, **arguments) -> Outcome:
        seen.update(arguments, installation=installation)
        return Outcome()

    monkeypatch.setattr(stage, "maintain", maintain)
    monkeypatch.setattr(kit, "load_settings", settings.load)
    monkeypatch.setattr(kit, "owner", lambda: "maintain run-1")

    def start(**conf) -> dict:
        defaults = {name: task.dag.params[name] for name in task.dag.params}
        monkeypatch.setattr(kit, "params", lambda: defaults | conf)
        assert task.python_callable() == {"kept": 0}
        return seen

    return start


def test_the_daily_run_looks_after_all_models_for_as_long_as_the_installation_says(
    started, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = started()
    assert (seen["dry_run"], seen["model"]) == (False, None)
    assert set(seen["installation"].specs) == {"alpha", "beta"}
    assert seen["installation"].owner == "maintain run-1"
    assert seen["installation"].rules.retention == dt.timedelta(days=settings.RETENTION_DAYS)
    monkeypatch.setenv("EVERGREEN_RETENTION_DAYS", "7")
    assert started()["installation"].rules.retention == dt.timedelta(days=7)


def test_a_form_says_what_to_do_this_once(started) -> None:
    seen = started(dry_run=True, retention_days=2.5, model="beta")
    assert (seen["dry_run"], seen["model"]) == (True, "beta")
    assert seen["installation"].rules.retention == dt.timedelta(days=2.5)
    with pytest.raises(InputError, match="retention_days"):
        started(retention_days=0)


@pytest.mark.parametrize("days", ["0", "a month", "nan", "99999"])
def test_a_retention_that_is_none_is_refused(days: str) -> None:
    with pytest.raises(SettingsError, match="a number of days from 1 to 3,650"):
        settings.retention_days({"EVERGREEN_RETENTION_DAYS": days})
    assert settings.load({"EVERGREEN_RETENTION_DAYS": days}), "no other DAG minds"
