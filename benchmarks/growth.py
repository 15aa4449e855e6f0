"""Whether the time from a file landed to staging has grown since an earlier commit.

Two stacks run side by side: the earlier commit's, from a work tree of it, and this one's. Both
birth new models of the same spec from the same file, in turn, the first to go alternating; one
birth each does not count. What else the machine does meets both alike.

    python benchmarks/growth.py --before COMMIT [--seconds 5] [--repeats 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_ROOT))

from benchmarks.bike_spec import write_bike_spec  # noqa: E402
from include.evergreen.simulator import simulate_bike  # noqa: E402

#: The most that it may have grown.
GOAL = 1.10
DAYS = 90
POLL_S = 0.05
LONGEST_S = 600


@dataclass(frozen=True)
class Side:
    """A stack of one commit's code, in a home of its own. Only files and the ledger's table of
    deployments are touched from here, so that any commit will do.
    """

    name: str
    project: Path
    root: Path

    @property
    def home(self) -> Path:
        return self.root / self.name / "home"

    @property
    def models(self) -> Path:
        return self.root / self.name / "models"

    def stack(self, command: str) -> None:
        here = {"EVERGREEN_HOME": str(self.home), "EVERGREEN_MODELS_DIR": str(self.models)}
        subprocess.run(
            [sys.executable, "-m", "include.evergreen.cli.stack", command],
            cwd=self.project,
            env=os.environ | here,
            check=True,
        )

    def write_spec(self, model: str, seconds: int, runtime: str) -> None:
        write_bike_spec(self.project, self.models, model, seconds=seconds, runtime=runtime)

    def birth(self, model: str, file: Path) -> float:
        """Land the file; seconds until the model's first version is live."""
        zone = self.home / "landing" / model
        zone.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, zone / "rides.part")
        began = time.monotonic()
        (zone / "rides.part").rename(zone / "rides.csv")
        while not self._is_live(model):
            if time.monotonic() - began > LONGEST_S:
                raise TimeoutError(f"{self.name}: {model} is not live after {LONGEST_S} s")
            time.sleep(POLL_S)
        return time.monotonic() - began

    def _is_live(self, model: str) -> bool:
        ledger = self.home / "ledger.db"
        if not ledger.exists():
            return False
        sql = "SELECT 1 FROM evergreen_deployments WHERE model = ? AND state = 'live'"
        with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            try:
                return database.execute(sql, (model,)).fetchone() is not None
            except sqlite3.OperationalError:  # no table yet, or locked for a moment
                return False


@contextmanager
def work_tree(commit: str, root: Path) -> Iterator[Path]:
    """The files of a commit, in a folder that git forgets afterwards."""
    git = ["git", "-C", str(PROJECT_ROOT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(root / "before"), commit], check=True)
    try:
        yield root / "before"
    finally:
        subprocess.run([*git, "remove", "--force", str(root / "before")], check=True)


@contextmanager
def running(sides: list[Side], models: list[str], seconds: int, runtime: str) -> Iterator[None]:
    """Both stacks up; stopped and deleted at the end."""
    with contextlib.ExitStack() as stack:
        for side in sides:
            for model in models:
                side.write_spec(model, seconds, runtime)
            stack.callback(side.stack, "clean")
            side.stack("up")
        yield


def measure(before: str, seconds: int, repeats: int, runtime: str) -> dict[str, list[float]]:
    """Seconds from file to staging, by side, in the order they were measured."""
    models = [f"growth_{number}" for number in range(repeats + 1)]
    root = Path(tempfile.mkdtemp(prefix="evergreen-growth-"))
    took: dict[str, list[float]] = {"before": [], "now": []}
    try:
        with work_tree(before, root) as earlier:
            sides = [
                Side("before", earlier, root / "runs"),
                Side("now", PROJECT_ROOT, root / "runs"),
            ]
            file = root / "rides.csv"
            simulate_bike(dt.date(2011, 1, 1), DAYS, seed=1).write_csv(file)
            with running(sides, models, seconds, runtime):
                for number, model in enumerate(models):
                    for side in sides if number % 2 else reversed(sides):
                        spent = side.birth(model, file)
                        if number:
                            took[side.name].append(spent)
                        print(f"{model} {side.name}: {spent:.1f} s", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", required=True, help="the earlier commit")
    parser.add_argument("--seconds", type=int, default=5, help="of search")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runtime", choices=("docker", "process"), default="docker")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    took = measure(given.before, given.seconds, given.repeats, given.runtime)
    medians = {name: statistics.median(times) for name, times in took.items()}
    ratio = medians["now"] / medians["before"]
    for name, times in took.items():
        print(f"{name:>6}: median {medians[name]:.1f} s of {', '.join(f'{t:.1f}' for t in times)}")
    print(f"growth: {ratio:.2f}x (goal {GOAL:.2f}x: {'met' if ratio <= GOAL else 'missed'})")
    if given.json:
        given.json.write_text(json.dumps({"seconds": took, "growth": ratio, "goal": GOAL}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
