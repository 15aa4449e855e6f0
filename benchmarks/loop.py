"""Wall time from a file landed to a version verified in staging: under Airflow, and without.

The peer is the very same stage functions, called one after another in one process that has all
libraries imported, against the same MLflow server, with one `docker run` at the end (a process
where there is no engine). Both sides birth new models of one spec from one file, in turn; each
first births one that does not count. `--seconds` is the budget of the search, which one worker
spends whole: with two, the peer would need two processes.

    python benchmarks/loop.py [--seconds 5 60] [--repeats 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_ROOT))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the stack; read when libgomp loads
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

from benchmarks.bike_spec import write_bike_spec  # noqa: E402
from benchmarks.in_process import land, run_loop_in_process  # noqa: E402
from include.evergreen import settings as evergreen_settings  # noqa: E402
from include.evergreen.cli.stack import stack_settings  # noqa: E402
from include.evergreen.contracts import Deployment  # noqa: E402
from include.evergreen.simulator import simulate_bike  # noqa: E402
from include.evergreen.spec import load_spec  # noqa: E402
from include.evergreen.stages.resources import Resources  # noqa: E402

#: Seconds of search -> the most the wall time may be, as a multiple of the peer's.
GOALS = {5: 1.5, 60: 1.15}
DAYS = 90
POLL_S = 0.05


@dataclass(frozen=True)
class Bench:
    """A running stack under one home, and a second home for the peer, with one MLflow server."""

    home: Path
    peer_home: Path
    models: Path
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"EVERGREEN_HOME": str(self.home), "EVERGREEN_MODELS_DIR": str(self.models)}

    def stack(self, command: str) -> None:
        """`up` or `down`."""
        subprocess.run(
            [sys.executable, "-m", "include.evergreen.cli.stack", command],
            cwd=PROJECT_ROOT,
            env=os.environ | self.environment,
            check=True,
        )

    def resources(self, model: str, *, peer: bool = False) -> Resources:
        """What the tasks of the running stack work with, or the peer."""
        running = stack_settings(evergreen_settings.load(self.environment))
        spec = load_spec(self.models / ("peer" if peer else "") / f"{model}.yaml")
        if not peer:
            return Resources(spec, running)
        apart = evergreen_settings.load({"EVERGREEN_HOME": str(self.peer_home)})
        return Resources(
            spec,
            evergreen_settings.load(
                {"EVERGREEN_HOME": str(self.peer_home)},
                {"mlflow_uri": running.mlflow_uri, "lake_uri": apart.lake_uri},
            ),
        )

    def write_spec(self, model: str, seconds: int, runtime: str, *, peer: bool = False) -> None:
        folder = self.models / "peer" if peer else self.models
        write_bike_spec(PROJECT_ROOT, folder, model, seconds=seconds, runtime=runtime)


@contextmanager
def running_bench(runs: list[tuple[str, int]], runtime: str) -> Iterator[Bench]:
    """A stack that knows the models of all runs; stopped and deleted at the end."""
    root = Path(tempfile.mkdtemp(prefix="evergreen-loop-"))
    bench = Bench(root / "home", root / "peer", root / "models", root / "rides.csv")
    bench.models.mkdir()
    simulate_bike(dt.date(2011, 1, 1), DAYS, seed=1).write_csv(bench.file)
    for model, seconds in runs:
        bench.write_spec(model, seconds, runtime)
        bench.write_spec(f"{model}_peer", seconds, runtime, peer=True)
    try:
        bench.stack("up")
        yield bench
        for model, _ in runs:
            stop_peer(bench, f"{model}_peer")
    finally:
        bench.stack("clean")
        remove_images()
        shutil.rmtree(root, ignore_errors=True)


def stop_peer(bench: Bench, model: str) -> None:
    resources = bench.resources(model, peer=True)
    live = resources.ledger.deployment(model, "staging")
    if live is not None:
        resources.runtime.remove(live.service, grace_s=2)


def remove_images() -> None:
    """The images of the models that were born here; none where there is no engine."""
    docker = shutil.which("docker")
    if docker is None:
        return
    listed = [docker, "images", "--quiet", "--filter", "reference=evergreen/model:loop_*"]
    found = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
    if found:
        subprocess.run([docker, "rmi", "--force", *found], capture_output=True, check=False)


def under_airflow(bench: Bench, model: str, timeout_s: float) -> float:
    """Seconds from the file's last rename to the version under the alias `staging`, live."""
    resources = bench.resources(model)
    began, landed_at = time.perf_counter(), dt.datetime.now(dt.UTC)
    land(resources, bench.file)
    while time.perf_counter() - began < timeout_s:
        if is_staged(resources, model, resources.ledger.deployment(model, "staging")):
            wall = time.perf_counter() - began
            print_milestones(resources, model, landed_at)
            return wall
        time.sleep(POLL_S)
    story = "\n".join(f"{r.at} {r.kind}: {r.summary}" for r in resources.ledger.history(model, 40))
    raise TimeoutError(f"{model} was not staged within {timeout_s:.0f} s. So far:\n{story}")


def print_milestones(resources: Resources, model: str, landed_at: dt.datetime) -> None:
    """What the ledger recorded on the way, in seconds since the file landed."""
    print(f"\nUnder Airflow, {model}:")
    for row in sorted(resources.ledger.history(model, 40), key=lambda row: row.at):
        print(f"  {(row.at - landed_at).total_seconds():8.2f}  {row.kind}: {row.summary}")


def is_staged(resources: Resources, model: str, live: Deployment | None) -> bool:
    return live is not None and resources.registry.version_of(model, "staging") == live.version


def in_one_process(bench: Bench, model: str) -> dict[str, float]:
    """Seconds of each step."""
    _, seconds = run_loop_in_process(bench.resources(model, peer=True), bench.file)
    return seconds


def measure(seconds: list[int], repeats: int, runtime: str) -> list[dict[str, Any]]:
    """Both sides, in turn; one figure for each budget, from the medians."""
    runs = [(f"loop_{s}s_{i}", s) for s in seconds for i in range(repeats)]
    walls: dict[int, list[tuple[float, dict[str, float]]]] = {s: [] for s in seconds}
    with running_bench([("loop_warm", 2), *runs], runtime) as bench:
        under_airflow(bench, "loop_warm", 600)
        in_one_process(bench, "loop_warm_peer")
        for model, budget in runs:
            peer = in_one_process(bench, f"{model}_peer")
            wall = under_airflow(bench, model, 300 + 3 * budget)
            walls[budget].append((wall, peer))
            print(f"{model}: {wall:.1f} s under Airflow, {sum(peer.values()):.1f} s without")
    for budget, measured in walls.items():
        print_steps(budget, [peer for _, peer in measured])
    return [figure(budget, measured) for budget, measured in walls.items()]


def figure(budget: int, measured: list[tuple[float, dict[str, float]]]) -> dict[str, Any]:
    wall = statistics.median(wall for wall, _ in measured)
    peer = statistics.median(sum(steps.values()) for _, steps in measured)
    goal = GOALS.get(budget)
    return {
        "name": f"landed to staged, {budget} s of search",
        "value": wall,
        "unit": "s",
        "against": "the same stages in one process",
        "against_value": peer,
        "ratio": wall / peer,
        "goal": goal,
        "met": None if goal is None else wall / peer <= goal,
    }


def print_steps(budget: int, runs: list[dict[str, float]]) -> None:
    print(f"\nWithout Airflow, {budget} s of search, median seconds of each step:")
    for step in runs[0]:
        print(f"  {step:20}{statistics.median(run[step] for run in runs):8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, nargs="+", default=[5, 60])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--runtime", choices=("auto", "docker", "process"), default="auto")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    figures = measure(asked.seconds, asked.repeats, asked.runtime)
    print(f"\n{'':34}{'Airflow':>10}{'one process':>13}{'ratio':>8}   goal")
    for entry in figures:
        met = {True: "met", False: "NOT met", None: ""}[entry["met"]]
        goal = "" if entry["goal"] is None else f"{entry['goal']}x {met}"
        print(
            f"{entry['name']:34}{entry['value']:>8.1f} s{entry['against_value']:>11.1f} s"
            f"{entry['ratio']:>8.2f}   {goal}"
        )
    if asked.json:
        asked.json.write_text(json.dumps({"figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
