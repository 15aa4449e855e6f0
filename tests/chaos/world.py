"""One installation in a temporary home, its DAGs run task by task, and its state put back at will.

A task is one forked process. What it returns is kept here, as XCom keeps it, so that a task can be
run again after its process died: by itself (Airflow's retry) or in a new run of its DAG.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.chaos import rides
from tests.chaos.forks import Ended, ForkServer
from tests.chaos.mlflow_server import MlflowServer
from tests.chaos.served import Served, TaskDied, end

LANDING = "landing"
#: How often a task that waits for time to pass is looked at again.
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Ending:
    """A run that rightly fails: at this task, whose candidate ends just before, with this error."""

    task: str
    error: str


@dataclass
class Run:
    """One run of a DAG: what its tasks ended as, and the form of one by hand."""

    dag: str
    run_id: str
    shift_s: float = 0.0
    params: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Ended] = field(default_factory=dict)
    ends: Ending | None = None

    @property
    def fired(self) -> set[str]:
        """The tasks that succeeded."""
        return {task for task, ended in self.ended.items() if ended.state == "success"}


class World(Served):
    """A home with one model, and the DAGs that work in it."""

    def __init__(
        self, folder: Path, spec: dict[str, Any] = rides.SPEC, engine: str | None = None
    ) -> None:
        self.home = folder / "home"
        self._kept = folder / "kept"
        self._kept.mkdir(parents=True)
        self._parked = folder / "parked"
        self._landed: dict[str, set[Path]] = {}
        self._ahead: dict[str, float] = {}
        self._spec = spec
        self._models = self.home / "models"  # put back with all the rest
        self._models.mkdir(parents=True)
        self.deploy_with()
        self.mlflow = MlflowServer(self.home / "mlflow", folder / "mlflow.log")
        self.server = ForkServer(
            {
                "EVERGREEN_MLFLOW_URI": self.mlflow.url,
                "EVERGREEN_HOME": str(self.home),
                "EVERGREEN_MODELS_DIR": str(self._models),
                "AIRFLOW_HOME": str(folder / "airflow"),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "EVERGREEN_DOCKER_URL": engine or f"unix://{folder / 'no-engine.sock'}",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "1",
                "OMP_NUM_THREADS": "1",
                "POLARS_MAX_THREADS": "1",
            },
            folder / "tasks.log",
        )
        self._plans: dict[str, list[dict[str, Any]]] = {}
        self._runs = 0

    def deploy_with(self, **deployment: Any) -> None:
        """From now on the spec says this of its deployment; without a word, what it said first."""
        spec = {**self._spec, "deployment": {**self._spec["deployment"], **deployment}}
        (self._models / f"{spec['model']}.yaml").write_text(yaml.safe_dump(spec))

    # --- tasks ----------------------------------------------------------------------------------

    def plan(self, dag: str) -> list[dict[str, Any]]:
        """The tasks of a DAG, upstream first."""
        if dag not in self._plans:
            dag_id = dag if dag == "maintain" else f"{rides.MODEL}.{dag}"
            ended = self.server.call("tests.chaos.tasks:plan", dag_id=dag_id)
            if ended.state != "success":
                raise TaskDied(ended.error)
            self._plans[dag] = ended.value
        return self._plans[dag]

    def new_run(
        self,
        dag: str,
        shift_s: float = 0.0,
        params: dict[str, Any] | None = None,
        ends: Ending | None = None,
    ) -> Run:
        self._runs += 1
        return Run(dag, f"run-{self._runs}", shift_s, params or {}, ends=ends)

    def run_task(self, run: Run, task: str, **environment: str) -> Ended:
        """One try of a task in a process of its own. A task that is skipped over is `skipped`."""
        described = next(t for t in self.plan(run.dag) if t["task"] == task)
        upstream = {name: run.ended[name].state for name in described["upstream"]}
        passed_over = "skipped" in upstream.values()
        if described["any_success"]:
            passed_over = "success" not in upstream.values()
        if passed_over and not described["all_done"]:
            return self._end(run, task, Ended("skipped", error="upstream was skipped"))
        values = []
        for mapped in self._mapped(described):
            ended = self._try(
                environment,
                dag_file=run.dag,
                task=task,
                args=[self._value(run, source) for source in described["args"]],
                kwargs={k: self._value(run, s) for k, s in described["kwargs"].items()} | mapped,
                run_id=run.run_id,
                shift_s=run.shift_s,
                params=run.params,
            )
            values.append(ended.value)
            if ended.state != "success":
                return self._end(run, task, ended)
        value = values if described["mapped"] else values[0]
        return self._end(run, task, Ended("success", value))

    def _try(self, environment: dict[str, str], **what: Any) -> Ended:
        """One try of a task; one that waits for time to pass is looked at again and again."""
        while True:
            ended = self.server.call("tests.chaos.tasks:run_task", environment=environment, **what)
            if ended.state != "up_for_reschedule":
                return ended
            time.sleep(_LOOK_AGAIN_S)

    def run_dag(self, dag: str, *, shift_s: float = 0.0) -> Run:
        """A run whose tasks all end well.

        Raises:
            TaskDied: one did not.
        """
        return self.finish(self.new_run(dag, shift_s))

    def finish(self, run: Run) -> Run:
        """Run what the run has not ended yet; TaskDied if a task does not end as it must."""
        for described in self.plan(run.dag):
            if described["task"] not in run.ended:
                self.prepare(run, described["task"])
                ended = self.must(run, described["task"])
                if ended.state == "failed":
                    break
        return run

    def must(self, run: Run, task: str) -> Ended:
        ended = self.run_task(run, task)
        if not self.is_well(run, task, ended):
            raise TaskDied(f"{run.dag}.{task} {ended.state}: {ended.error}\n{self.server.words()}")
        return ended

    @staticmethod
    def is_well(run: Run, task: str, ended: Ended) -> bool:
        """Whether a task ended as it must."""
        if run.ends is not None and run.ends.task == task and ended.state != "skipped":
            return ended.state == "failed" and ended.error.startswith(f"{run.ends.error}:")
        return ended.state in {"success", "skipped"}

    def prepare(self, run: Run, task: str) -> None:
        """Where a run rightly fails at this task, its candidate ends: what serves and is not live.

        Its id begins with that of its process.
        """
        if run.ends is None or run.ends.task != task:
            return
        live = {service["service_id"].partition(":")[0] for service in self.all_live()}
        for process in self.services():
            if str(process.pid) not in live:
                end(process)

    @staticmethod
    def _end(run: Run, task: str, ended: Ended) -> Ended:
        if ended.state in {"success", "skipped"}:
            run.ended[task] = ended
        return ended

    @staticmethod
    def _mapped(described: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {name: value} for name, values in described["mapped"].items() for value in values
        ] or [{}]

    @staticmethod
    def _value(run: Run, source: dict[str, Any]) -> Any:
        return run.ended[source["xcom"]].value if "xcom" in source else source["literal"]

    # --- state ----------------------------------------------------------------------------------

    def keep(self, name: str, shift_s: float = 0.0) -> None:
        """Keep the home as it is now, at the time `shift_s` from now, under a name."""
        self._ahead[name] = shift_s
        to = self._kept / name
        to.mkdir()
        for path in self.home.iterdir():
            if path.name != LANDING:
                subprocess.run(["cp", "-a", str(path), str(to)], check=True)
        self._landed[name] = {path.relative_to(self.home) for path in self._landing()}

    def put_back(self, name: str) -> None:
        """Make the home what it was, and let the services run that ran then."""
        for path in self.home.iterdir():
            if path.name != LANDING:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in (self._kept / name).iterdir():
            subprocess.run(["cp", "-a", str(path), str(self.home)], check=True)
        self._land_only(self._landed[name])
        self._serve_what_is_live(self._ahead[name])

    def _landing(self) -> list[Path]:
        return [path for path in (self.home / LANDING).rglob("*") if path.is_file()]

    def _land_only(self, wanted: set[Path]) -> None:
        """Landed files are moved, not copied: a file is known by its inode, too."""
        for path in self._landing():
            if path.relative_to(self.home) not in wanted:
                _move(path, self._parked / path.relative_to(self.home))
        for name in wanted:
            if not (self.home / name).exists():
                _move(self._parked / name, self.home / name)

    def _serve_what_is_live(self, shift_s: float) -> None:
        known = {
            json.loads(path.read_text())["pid"]
            for path in self.home.glob("services/*/v*/*.pid")
            if path.with_suffix(".json").exists()
        }
        for process in self.services():
            if process.pid not in known:
                end(process)
        if not all(map(self.answers, self.all_live())):
            ended = self.server.call("tests.chaos.inside:settle", shift_s=shift_s)
            if ended.state != "success":
                raise TaskDied(ended.error)
            self.wait_for_answer()

    def close(self) -> None:
        self.server.close()
        self.mlflow.close()
        for process in self.services():
            end(process)


def _move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)


@contextlib.contextmanager
def opened(
    folder: Path, spec: dict[str, Any] = rides.SPEC, engine: str | None = None
) -> Iterator[World]:
    """A world whose services are gone when the block ends.

    Args:
        folder: for its home, and what belongs to it.
        spec: of the model.
        engine: the address of a container engine; None: none answers.
    """
    world = World(folder, spec, engine)
    try:
        yield world
    finally:
        world.close()
