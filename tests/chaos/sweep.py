"""Kills one task at one failpoint, lets Airflow go on, and says what is not as it must be."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import requests

from tests.chaos import rides
from tests.chaos.recording import GRACE_S, UPKEEP_S, Recording, Step, TaskRecord
from tests.chaos.served import TaskDied
from tests.chaos.world import Run, World

#: How Airflow goes on: it tries the task again, or gives the run up and a later run starts.
Mode = Literal["retry", "new run"]
MODES: tuple[Mode, ...] = ("retry", "new run")
Moment = Literal["before", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "after")
#: What every task does first, and what changes something the very first time only.
ONCE = {"ledger.migrate", "registry.experiment", "studies.acquire"}
#: A task that finds a candidate running -> the one that starts it. To a watch, one that is started
#: again has ended.
CANDIDATES = {
    "promote_to_staging": "start_and_verify",
    "shift_traffic": "start_in_production",
    "watch_release": "start_in_production",
}
#: Who rolls back looks whether it came about: one that died is tried again, and by nobody else.
BY_HAND = "rollback"
#: When a later run starts: every lease of the dead has ended by then.
LATER_S = 3 * 3600.0


@dataclass(frozen=True)
class Case:
    """One death: in which task of which step, at which failpoint, and how it goes on."""

    step: str
    task: str
    point: str
    moment: Moment
    hit: int
    mode: Mode

    def __str__(self) -> str:
        again = f" (hit {self.hit})" if self.hit > 1 else ""
        return f"{self.step} {self.task}: {self.moment} {self.point}{again}, then a {self.mode}"

    @property
    def failpoint(self) -> str:
        return f"{self.point}:{self.moment}:{self.hit}"


@dataclass
class Verdict:
    """What became of a case. `broken` is empty where everything held; `healthy_s` is how long the
    run took from the death to its end, `requests` what the live champion answered meanwhile.
    """

    case: Case
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    requests: int = 0
    healthy_s: float = 0.0


def cases(recording: Recording, seed: int = 0) -> list[Case]:
    """Every failpoint of every task of the loop, before and after, at its first and its last hit.

    A failpoint that the same task passes in several steps is taken in the last of them, where the
    earlier champion is live, and in each that stands alone; one that does nothing once it is done,
    in the first task of all. How it goes on alternates; another seed turns it round.
    """
    chosen: dict[tuple[str, str, str], tuple[Step, TaskRecord]] = {}
    for step in recording.steps:
        for record in step.tasks:
            for point in record.passed:
                if point in ONCE:
                    chosen.setdefault(("", "", point), (step, record))
                else:
                    place = step.name if step.alone else step.dag
                    chosen[place, record.task, point] = step, record
    found = [
        (step, record.task, point, moment, hit)
        for (_, _, point), (step, record) in chosen.items()
        for hit in sorted({1, record.passed[point]})
        for moment in MOMENTS
    ]
    order = {step.name: number for number, step in enumerate(recording.steps)}
    found.sort(key=lambda case: order[case[0].name])
    return [
        Case(
            step.name,
            task,
            point,
            moment,
            hit,
            "retry" if step.dag == BY_HAND else MODES[(n // 2 + n + seed) % 2],
        )
        for n, (step, task, point, moment, hit) in enumerate(found)
    ]


def run_case(recording: Recording, case: Case) -> Verdict:
    """Put the world back, kill, go on, and compare with what the undisturbed loop came to."""
    began = time.monotonic()
    world = recording.world
    step = next(step for step in recording.steps if step.name == case.step)
    record = next(record for record in step.tasks if record.task == case.task)
    run = _put_back(recording, step, record)
    verdict = Verdict(case)
    with Client(world, asks=step.asks) as client:
        try:
            _die_and_go_on(recording, step, run, verdict)
        except TaskDied as error:
            verdict.broken.append(f"the loop does not go on: {str(error)[:2000]}")
    verdict.broken += client.failures[:3]
    verdict.requests, verdict.seconds = client.answered, time.monotonic() - began
    return verdict


def _put_back(recording: Recording, step: Step, record: TaskRecord) -> Run:
    """The world as it was before a task. A candidate that ran then is started and verified anew."""
    world = recording.world
    candidate = CANDIDATES.get(record.task)
    if candidate is None:
        world.put_back(record.kept)
        return step.before(record.task)
    world.put_back(next(r.kept for r in step.tasks if r.task == candidate))
    run = step.before(candidate)
    names = [r.task for r in step.tasks]
    for task in names[names.index(candidate) : names.index(record.task)]:
        world.must(run, task)
    return run


def _die_and_go_on(recording: Recording, step: Step, run: Run, verdict: Verdict) -> None:
    world, case = recording.world, verdict.case
    world.prepare(run, case.task)
    ended = world.run_task(run, case.task, EVERGREEN_FAILPOINT=case.failpoint)
    if ended.state != "killed":
        verdict.broken.append(f"nothing died: the task ended as {ended.state} ({ended.error})")
        return
    died = time.monotonic()
    before, shift_s = set(run.fired), step.run.shift_s
    if case.mode == "retry":
        world.finish(run)
    else:
        shift_s += LATER_S
        run = world.finish(_later_run(world, step, shift_s))
    verdict.healthy_s = time.monotonic() - died
    verdict.broken += _differences(step.facts, recording.look(shift_s)["facts"])
    verdict.broken += _events(world, step, before | run.fired, shift_s)
    shift_s += GRACE_S + 3600
    world.server.call("tests.chaos.inside:age", days=UPKEEP_S / 86_400)
    world.run_dag("maintain", shift_s=shift_s)
    looked = recording.look(shift_s)
    verdict.broken += [f"{found['rule']}: {found['words']}" for found in looked["violations"]]


def _later_run(world: World, step: Step, shift_s: float) -> Run:
    """A person who filled in a form does so again, but for a version that answers by now: what is
    left of its release is done by a run that the watcher of the ledger woke.
    """
    live, params = world.live(), step.run.params
    if live is not None and live["version"] == params.get("version"):
        params = {}
    return world.new_run(step.dag, shift_s, params, step.run.ends)


def _events(world: World, step: Step, fired: set[str], shift_s: float) -> list[str]:
    """An event that the undisturbed run sent comes at the latest from the next monitor run, or
    need not come: what watches over the ledger wakes release, and monitor has its cron.
    """
    outlets = {t["task"]: set(t["outlets"]) for t in world.plan(step.dag)}
    wanted = _outlets(outlets, step.run)
    missing = wanted - {name for task in fired for name in outlets[task]}
    if not missing:
        return []
    watched = world.run_dag("monitor", shift_s=shift_s)
    late = _outlets({t["task"]: set(t["outlets"]) for t in world.plan("monitor")}, watched)
    woken = {"data_ingested": "retrain_requested"}  # either wakes train
    kinds = {kind(other) for other in late} | {"released"}
    if world.server.call("tests.chaos.inside:why_release", shift_s=shift_s + LATER_S).value:
        kinds.add("staged")
    return [
        f"nothing tells of {name}, neither the run nor the next look of monitor, or at the ledger"
        for name in missing
        if woken.get(kind(name), kind(name)) not in kinds
    ]


def kind(asset: str) -> str:
    return asset.rsplit(".", 1)[-1]


def _outlets(outlets: dict[str, set[str]], run: Run) -> set[str]:
    return {name for task in run.fired for name in outlets[task]}


def _differences(expected: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {seen[name]}, where the undisturbed loop has {expected[name]}"
        for name in expected
        if seen[name] != expected[name]
    ]


class Client:
    """Asks the live champion without a pause, and what is in staging; a request that fails while
    its version is live is a loss, and so is an environment that is empty from some moment on.

    A client that was handed to the next version meanwhile asks again there, as one behind a
    gateway would be. A probe is in no log and no count; what is none counts for a canary.
    """

    def __init__(self, world: World, *, asks: bool, probe: bool = True) -> None:
        self.failures: list[str] = []
        self.answered = 0
        self._world, self._asks = world, asks
        self._headers = {"X-Evergreen-Probe": "1"} if probe else {}
        self._body = {"dataframe_records": rides.requests(1, 1)}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        if self._asks:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._asks:
            self._thread.join()

    def _run(self) -> None:
        seen: set[str] = set()
        while not self._done.wait(0.02):
            live = self._live()
            seen |= set(live)
            for environment in seen:
                why = self._ask_once_more(environment, live.get(environment))
                if why:
                    self.failures.append(f"a request to {environment} failed: {why}")
                else:
                    self.answered += 1

    def _ask_once_more(self, environment: str, live: dict[str, Any] | None) -> str:
        """Why a request failed, also where clients are sent by now; '' where it was answered."""
        why = self._ask(live)
        now = self._live().get(environment) if why else None
        if now is not None and (live or {}).get("endpoint") != now["endpoint"]:
            why = self._ask(now)
        return why

    def _live(self) -> dict[str, dict[str, Any]]:
        """What is live, by its environment."""
        return {service["environment"]: service for service in self._world.all_live()}

    def _ask(self, live: dict[str, Any] | None) -> str:
        if live is None:
            return "nothing is live"
        try:
            answer = requests.post(
                f"{live['endpoint']}/invocations",
                json=self._body,
                headers=self._headers,
                timeout=30,
            )
        except requests.RequestException as error:
            return f"v{live['version']} at {live['endpoint']}: {error!r:.200}"
        return "" if answer.ok else f"v{live['version']} said {answer.status_code}"
