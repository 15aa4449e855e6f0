"""One undisturbed loop, kept task by task: where it can be put back to, and what it came to.

Birth of v1 and its release, drift in what it serves, rows of a changed world with broken ones and a
file that is none, retrain to v2, whose release is aborted, for it ends in the middle, and which a
person releases then; back to v1 by hand and forth to v2 again, a challenger that loses, `maintain`
two months later. Then the model is retired, and taken back. Every failpoint that a task passes is
noted.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import rides
from tests.chaos.forks import Ended
from tests.chaos.world import Ending, Run, World

GRACE_S = 25 * 3600.0
#: So much later `maintain` keeps house in the loop: whatever is removed by age is old then.
UPKEEP_S = 60 * 24 * 3600.0
#: The state after the loop.
END = "end"
DAGS = ("ingest", "train", "deploy", "release", "monitor")


class Unsound(AssertionError):
    """The undisturbed loop itself violates an invariant, or went another way than it must."""


@dataclass
class TaskRecord:
    """One task of the loop: the state before it, and the failpoints it passed (how often)."""

    task: str
    kept: str
    passed: Counter[str]


@dataclass
class Step:
    """One run of a DAG in the loop, and the facts after it.

    Attributes:
        name: of its part of the loop, and of its DAG.
        run: the run.
        tasks: those it went through.
        facts: what must be the same in the end.
        live: whether something was live when it began.
        alone: whether deaths in it are tried whatever a later run of this DAG passes.
    """

    name: str
    run: Run
    tasks: list[TaskRecord] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    live: bool = False
    alone: bool = False

    @property
    def dag(self) -> str:
        return self.run.dag

    @property
    def asks(self) -> bool:
        """Whether a client is answered throughout."""
        return self.live and self.dag != "retire"

    def before(self, task: str) -> Run:
        """The run as it stood when this task was about to start."""
        names = [record.task for record in self.tasks]
        ended: dict[str, Ended] = {
            name: self.run.ended[name] for name in names[: names.index(task)]
        }
        return dataclasses.replace(self.run, ended=ended)


class Recording:
    """The loop, recorded in a world; `steps` in their order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.steps: list[Step] = []
        self._log = world.home.parent / "passed.log"

    def record(self) -> Recording:
        world = self.world
        rides.land(world.home, 0)
        self._dags("v1", *DAGS)
        world.ask(rides.requests(1, 60), probe=False)
        world.wait_for_segments()
        world.spoil_spool()
        self._dags("drift", "monitor")
        rides.land(world.home, 1, broken_rows=5, garbage=True)
        self._dags("v2", "ingest", "train", "deploy")
        # Plain processes cannot share the requests of clients, but can be asked beside each other.
        self.world.deploy_with(strategy="shadow")
        self._dags("no", "release", ends=Ending("shift_traffic", "ReleaseAborted"), alone=True)
        self.world.deploy_with()
        by_hand = {"version": 2, "reason": "it was the machine"}
        self._dags("v2", "release", params=by_hand)
        self._dags("v2", "monitor")
        self._dags("back", "rollback", params={"version": None, "reason": "v2 answers strangely"})
        self._dags("forth", "rollback", params={"version": 2, "reason": "it was the weather"})
        rides.land(world.home, 2)
        self._dags("lost", "ingest", "train", "monitor")
        self._dags("upkeep", "maintain", shift_s=UPKEEP_S)
        aliases = dict(self.steps[-1].facts["aliases"])
        if (aliases.get("champion"), aliases.get("challenger")) != (2, 2):
            raise Unsound(f"The loop ended with the aliases {aliases}; it must end with v2.")
        self.world.keep(END, UPKEEP_S)
        self.world.server.call("tests.chaos.inside:ask_for_training", shift_s=UPKEEP_S)
        gone = {"confirm": rides.MODEL, "reason": "nobody asks it"}
        self._dags("gone", "retire", shift_s=UPKEEP_S, params=gone, alone=True)
        self._dags("again", "retire", shift_s=UPKEEP_S, params=gone | {"undo": True})
        return self

    @property
    def passed(self) -> set[str]:
        """Every failpoint that the loop passes."""
        return {point for step in self.steps for task in step.tasks for point in task.passed}

    def _dags(
        self,
        part: str,
        *dags: str,
        shift_s: float = 0.0,
        params: dict[str, Any] | None = None,
        ends: Ending | None = None,
        alone: bool = False,
    ) -> None:
        for dag in dags:
            run = self.world.new_run(dag, shift_s, params, ends)
            step = Step(f"{part}/{dag}", run, alone=alone)
            step.live = self.world.live() is not None
            for number, described in enumerate(self.world.plan(dag)):
                self._task(step, number, described["task"])
                if ends is not None and described["task"] == ends.task:
                    break
            looked = self.look(shift_s)
            if looked["violations"]:
                raise Unsound(f"After {step.name}, undisturbed: {looked['violations']}")
            step.facts = looked["facts"]
            self.steps.append(step)

    def _task(self, step: Step, number: int, task: str) -> None:
        kept = f"{len(self.steps)}-{step.dag}-{number}"
        self.world.keep(kept, step.run.shift_s)
        self._log.unlink(missing_ok=True)
        self.world.prepare(step.run, task)
        ended = self.world.run_task(step.run, task, EVERGREEN_FAILPOINT_LOG=str(self._log))
        if not self.world.is_well(step.run, task, ended):
            raise Unsound(f"{step.name} {task}: {ended.error}\n{self.world.server.words()}")
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        passed = Counter(line.split()[1] for line in lines if line.endswith(" before"))
        step.tasks.append(TaskRecord(task, kept, passed))

    def look(self, shift_s: float = 0.0, grace_s: float = GRACE_S) -> dict[str, Any]:
        """Facts and violations, as they are now."""
        ended = self.world.server.call("tests.chaos.inside:look", shift_s=shift_s, grace_s=grace_s)
        if ended.state != "success":
            raise Unsound(f"The checker failed: {ended.error}")
        found: dict[str, Any] = ended.value
        return found
