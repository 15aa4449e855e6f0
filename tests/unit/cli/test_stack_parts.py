"""Ports, locks, processes and environment of the embedded stack, each against what it guards."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.evergreen.cli.stack import locks, ports, processes
from include.evergreen.cli.stack.components import orders
from include.evergreen.cli.stack.environment import stack_environment
from include.evergreen.cli.stack.state import Component, StackState, read_state, write_state
from include.evergreen.errors import Unavailable


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def test_a_port_that_is_taken_is_passed_over(listener: socket.socket, tmp_path: Path) -> None:
    taken = listener.getsockname()[1]
    assert not ports.is_free(taken)
    port, lock = ports.reserve(taken, tmp_path)
    with lock:
        assert port > taken


def test_a_port_chosen_by_another_stack_is_passed_over_before_it_listens(tmp_path: Path) -> None:
    first, lock = ports.reserve(18080, tmp_path)
    with lock:
        second, other = ports.reserve(first, tmp_path)
        other.close()
    third, again = ports.reserve(first, tmp_path)
    again.close()
    assert second > first == third


def test_who_listens_is_known(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert ports.listens(os.getpid(), port)
    assert not ports.listens(os.getpid(), port + 1)
    assert not ports.listens(2**22 + 1, port)


def test_a_port_taken_on_another_address_is_taken() -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


def test_no_free_port_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(Unavailable, match="Ports 8080 to 8279"):
        ports.reserve(8080, tmp_path)


def _python(code: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], text=True, stdout=subprocess.PIPE, **options
    )


def _finish(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path, project_root: Path) -> None:
    path = tmp_path / "lock"
    holder = _python(
        f"""
        import time
        from pathlib import Path
        from include.evergreen.cli.stack import locks
        held = locks.take(Path({str(path)!r}))
        print("held", flush=True)
        time.sleep(60)
        """,
        cwd=project_root,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert locks.is_held(path)
    with pytest.raises(Unavailable, match="has been waiting 0 s"), locks.held(path, 0, "make up"):
        pass
    _finish(holder)
    assert not locks.is_held(path)
    with locks.held(path, 0, "make up"):
        assert locks.is_held(path)


#: A supervisor with a child in a process group of its own, and a grandchild.
FAMILY = """
    import os, subprocess, sys, time
    os.setsid()
    sleep = "import time; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}]); {sleep}"
    subprocess.Popen([sys.executable, "-c", code], process_group=0)
    time.sleep(1)
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def family() -> Iterator[tuple[int, float]]:
    leader = _python(FAMILY)
    assert leader.stdout is not None
    session = int(leader.stdout.readline())
    since = psutil.Process(session).create_time()
    yield session, since
    processes.end_session(session, since, grace_s=0)
    _finish(leader)


def test_a_session_ends_with_all_its_groups(family: tuple[int, float]) -> None:
    session, since = family
    assert len(processes.session_members(session, since)) == 3
    assert processes.end_session(session, since, grace_s=2) == 3
    assert processes.session_members(session, since) == []


def test_the_remains_of_a_killed_leader_are_known(family: tuple[int, float]) -> None:
    session, since = family
    os.kill(session, signal.SIGKILL)
    time.sleep(0.2)
    assert len(processes.session_members(session, since)) == 2
    assert processes.end_session(session, since, grace_s=0) == 2


def test_a_number_that_somebody_else_has_by_now_is_left_alone(family: tuple[int, float]) -> None:
    session, since = family
    assert processes.session_members(session, since - 3600) == []
    assert processes.end_session(session, since - 3600, grace_s=0) == 0
    assert psutil.pid_exists(session)


def test_what_a_dead_part_left_behind_is_told_from_what_lives(family: tuple[int, float]) -> None:
    session, since = family
    (child,) = psutil.Process(session).children()
    left = processes.orphans(session, since, [session])
    assert left == []
    assert {p.pid for p in processes.orphans(session, since, [child.pid])} == {session}


def test_state_survives_being_written_and_read(tmp_path: Path) -> None:
    state = StackState(1, 2.0, "boot", "http://a", "http://m", {"scheduler": Component(3, 4.0, 5)})
    assert read_state(tmp_path) is None
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert state.members() == [], "of another boot"


def test_the_stack_wins_over_the_shell_where_it_must_and_else_the_person(tmp_path: Path) -> None:
    shell = {
        "AIRFLOW_HOME": "/elsewhere",
        "AIRFLOW_CONFIG": "/elsewhere/airflow.cfg",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__PARALLELISM": "32",
        "AIRFLOW__SMTP__SMTP_HOST": "mail.example",
        "PYTHONPATH": "/mine",
        "NO_PROXY": "intranet.example",
    }
    env = stack_environment(tmp_path, 8081, 5001, shell)
    assert env["AIRFLOW_HOME"] == str(tmp_path / "airflow")
    assert "AIRFLOW_CONFIG" not in env
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert env["AIRFLOW__CORE__PARALLELISM"] == "32"
    assert env["AIRFLOW__SMTP__SMTP_HOST"] == "mail.example"
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8081/execution/"
    assert env["EVERGREEN_MLFLOW_URI"] == "http://127.0.0.1:5001"
    assert env["PYTHONPATH"].endswith(":/mine")
    assert env["NO_PROXY"] == "intranet.example,127.0.0.1,localhost"


def test_an_mlflow_server_of_ones_own_is_kept_and_none_is_started(tmp_path: Path) -> None:
    env = stack_environment(tmp_path, 8080, 0, {"EVERGREEN_MLFLOW_URI": "https://mlflow.example"})
    assert env["EVERGREEN_MLFLOW_URI"] == "https://mlflow.example"
    assert "mlflow" not in {order.name for order in orders(tmp_path, mlflow_port=0)}


def test_everything_listens_on_this_machine_alone(tmp_path: Path) -> None:
    env = stack_environment(tmp_path, 8080, 5000, {})
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    (mlflow,) = [order for order in orders(tmp_path, 5000) if order.name == "mlflow"]
    assert mlflow.argv[mlflow.argv.index("--host") + 1] == "127.0.0.1"
