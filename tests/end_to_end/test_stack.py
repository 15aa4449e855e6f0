"""The embedded stack on real processes: up twice, every part killed, its watcher killed, down."""

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen import settings
from include.evergreen.cli.stack import health, state
from include.evergreen.cli.stack.commands import clean, down, open_api, status, up
from include.evergreen.errors import Unavailable
from include.evergreen.settings import Settings
from tests.end_to_end.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

PARTS = ("mlflow", "api-server", "scheduler", "dag-processor", "triggerer")


def _say(_text: str) -> None:
    pass


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    installation = settings.load(
        {"EVERGREEN_HOME": str(tmp_path_factory.mktemp("stack") / ".evergreen")}
    )
    # Somebody else has the usual ports, if they are free at all: who starts a stack while a part
    # of this one is dead takes those, and not the dead part's.
    with contextlib.ExitStack() as stack:
        for port in (8080, 5000):
            taken = stack.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                taken.listen()
        up(installation, _say)
    yield installation
    clean(installation, _say)
    assert not installation.home.exists()


def _state(home: Settings) -> state.StackState:
    found = state.read_state(home.home)
    assert found is not None
    return found


def test_it_is_up_on_another_port_with_the_settings_loaded(home: Settings) -> None:
    assert status(home, _say)
    assert not _state(home).airflow_url.endswith(":8080")
    api = open_api(home.home)
    assert {"bike_demand.ingest", "electricity.train"} <= {d["dag_id"] for d in api.any_dags()}
    assert api.import_errors() == {}
    api.close()


def test_its_password_and_secrets_are_for_its_owner_alone(home: Settings) -> None:
    for path in (state.password_file(home.home), home.home / "airflow" / "airflow.cfg"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    said: list[str] = []
    up(home, said.append)
    assert state.read_password(home.home) in said[-1]


def test_up_twice_changes_nothing(home: Settings) -> None:
    before = _state(home)
    said: list[str] = []
    up(home, said.append)
    assert _state(home) == before
    assert said[-1].startswith("Airflow and MLflow were up already.")


def test_up_repairs_whatever_was_killed(home: Settings) -> None:
    before, workers = _state(home).components, _workers(home)
    assert len(workers) >= 8
    for name in PARTS:
        os.kill(before[name].pid, signal.SIGKILL)
    wait_for("a part is missed", lambda: health.problem(home.home), seconds=30)
    up(home, _say)
    after = _state(home).components
    for name in PARTS:
        assert after[name].pid != before[name].pid, name
        assert after[name].restarts == before[name].restarts + 1, name
    assert not workers & _workers(home), "the killed scheduler's workers were ended"


def _workers(home: Settings) -> set[int]:
    """The pids of LocalExecutor's workers, and of the tasks in them."""
    members = _state(home).members()
    return {process.pid for process in members if "airflow worker" in " ".join(process.cmdline())}


def test_up_repairs_a_stack_whose_watcher_was_killed(home: Settings) -> None:
    before = _state(home)
    os.kill(before.session, signal.SIGKILL)
    wait_for("nobody watches", lambda: not state.is_supervised(home.home), seconds=10)
    assert not status(home, _say)
    up(home, _say)
    assert before.members() == [], "what the dead watcher had started was ended"
    assert status(home, _say)


def test_a_part_that_cannot_start_is_told_with_its_log(home: Settings) -> None:
    text = health.tail(home.home, "scheduler")
    assert text.startswith(f"The end of {home.home}/logs/scheduler.log:")
    assert health.tail(home.home, "nobody").startswith("It wrote no log")


def test_down_leaves_no_process_and_keeps_the_data(home: Settings) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    before = _state(home)
    down(home, _say)
    assert before.members() == []
    assert (home.home / "airflow" / "airflow.db").is_file()
    assert bystander.poll() is None, "what is not ours is left alone"
    bystander.kill()
    bystander.wait()
    with pytest.raises(Unavailable, match="Airflow does not answer"):
        open_api(home.home).health()
    said: list[str] = []
    down(home, said.append)
    assert said[-1].startswith("Airflow and MLflow are stopped.")


def test_a_folder_that_is_no_home_is_never_deleted(tmp_path: Path) -> None:
    from include.evergreen.errors import SettingsError

    (tmp_path / "precious").write_text("keep")
    with pytest.raises(SettingsError, match=r"is not deleted\. Check EVERGREEN_HOME"):
        clean(settings.load({"EVERGREEN_HOME": str(tmp_path)}), _say)
    assert (tmp_path / "precious").read_text() == "keep"
