"""Runs each task in a process of its own, forked as Airflow's scheduler forks it.

The server (`python -m tests.chaos.forks`) has imported everything and computed nothing: a child of
a process that computed (an OpenMP region, a thread pool) would hang. It executes the bodies of
the real DAG files, with a context of its own in the place of Airflow's.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120
NEVER_CAME = "timeout"


@dataclass(frozen=True)
class Ended:
    """How a child ended: `success` with what it returned, `skipped`, `failed`, or `killed`."""

    state: str
    value: Any = None
    error: str = ""


class ForkServer:
    """A client of the server. Calls are made one after another."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._outcome = log.with_suffix(".outcome")
        with log.open("ab") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.forks"],
                cwd=ROOT,
                env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self._calling = threading.Lock()

    def call(
        self, function: str, /, *, environment: dict[str, str] | None = None, **arguments: Any
    ):
        """`module:function` of the tests, called with JSON in a child of its own."""
        self._outcome.unlink(missing_ok=True)
        order = {
            "function": function,
            "arguments": arguments,
            "environment": environment or {},
            "outcome": str(self._outcome),
        }
        with self._calling:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The fork server has ended; see {self._log}:\n{self.words()}")
        code = json.loads(answer)
        if code == -signal.SIGKILL:
            return Ended("killed")
        if code != 0 or not self._outcome.exists():
            return Ended("failed", error=f"ended with {code}; see {self._log}\n{self.words()}")
        return Ended(**json.loads(self._outcome.read_text()))

    def words(self, lines: int = 30) -> str:
        """The newest lines of what the children said."""
        said = self._log.read_text(errors="replace").splitlines()
        return "\n".join(said[-lines:])

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def serve() -> None:
    """Fork a child for each line of stdin, and answer with its exit code."""
    from include.evergreen.preload import preload

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    preload()
    for name in ("tests.chaos.tasks", "tests.chaos.inside", *_dag_files()):
        importlib.import_module(name)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(order)
        answers.write(f"{_wait(child)}\n")
        answers.flush()


def _dag_files() -> list[str]:
    return [f"dags.{path.stem}" for path in sorted((ROOT / "dags").glob("*.py"))]


def _wait(child: int) -> int:
    """Its exit code, negative for a signal; a child that hangs is ended."""
    overdue = threading.Event()

    def alarm(*_: object) -> None:
        overdue.set()
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, alarm)
    signal.alarm(TIMEOUT_S)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return 124 if overdue.is_set() else os.waitstatus_to_exitcode(status)


def _run(order: dict[str, Any]) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.environ.update(order["environment"])
    module, _, name = order["function"].partition(":")
    code = 0
    try:
        ended = getattr(importlib.import_module(module), name)(**order["arguments"])
        Path(order["outcome"]).write_text(json.dumps(ended))
    except BaseException:  # noqa: BLE001 - the child must not go on as a second server
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve()
