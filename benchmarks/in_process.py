"""The whole loop in one process: the stage functions that the DAGs call, one after another.

What the scheduler adds is the difference between this and a run under Airflow.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from include.evergreen.contracts import Candidate, Claim, Deployment, Snapshot
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy import build, promote, verify
from include.evergreen.stages.ingest import ingest
from include.evergreen.stages.release import approval, propose, start, strategies, watch
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training import claim, fit, freeze, judge, register, tune

Made = TypeVar("Made")
OWNER = "loop"


class LoopStopped(RuntimeError):
    """A step had nothing to hand on, so there is no version in staging."""


class Stopwatch:
    """Seconds of each step, in the order in which they were taken."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, step: str, work: Callable[[], Made | None]) -> Made:
        """Do one step and note how long it took; LoopStopped if it has no outcome."""
        began = time.perf_counter()
        outcome = work()
        self.seconds[step] = time.perf_counter() - began
        if outcome is None:
            raise LoopStopped(f"'{step}' had nothing to hand on; see the ledger's decisions.")
        return outcome


def run_loop_in_process(
    resources: Resources, file: Path, *, clock: Clock = utc_now
) -> tuple[Deployment, dict[str, float]]:
    """Land a file and go on until its model is verified in staging; the seconds of each step.

    Args:
        resources: of the model; its landing zone must be a directory.
        file: copied into the landing zone before the clock starts.
        clock: what the stages are given for the time.

    Raises:
        LoopStopped: a step had nothing to hand on: no new rows, "not yet", a lost judgement.
    """
    watch = Stopwatch()
    land(resources, file)
    files = watch.time(
        "discover_files", lambda: ingest.discover_files(resources, now=clock()) or None
    )
    watch.time(
        "ingest_files", lambda: ingest.ingest_files(resources, files, owner=OWNER, now=clock())
    )
    snapshot = _freeze(resources, watch, clock)
    _train(resources, snapshot, watch, clock)
    candidate = watch.time(
        "choose_version", lambda: build.choose_version(resources, None, now=clock())
    )
    image = watch.time("build_image", lambda: build.build_image(resources, candidate, now=clock()))
    proven = watch.time(
        "start_and_verify", lambda: verify.start_and_verify(resources, image, now=clock())
    )
    deployed = watch.time(
        "promote_to_staging", lambda: promote.promote_to_staging(resources, proven, now=clock())
    )
    return deployed, watch.seconds


def release_in_process(resources: Resources, *, clock: Clock = utc_now) -> Deployment:
    """What is staged is the champion, approved automatically and watched to the end.

    Raises:
        LoopStopped: a step had nothing to hand on.
    """
    stopwatch = Stopwatch()
    proposal = stopwatch.time(
        "choose_version", lambda: propose.choose_version(resources, None, now=clock())
    )
    stopwatch.time(
        "approve_release", lambda: approval.approve(resources, proposal, now=clock()) or None
    )
    proven = stopwatch.time(
        "start_in_production", lambda: start.start_in_production(resources, proposal, now=clock())
    )
    stopwatch.time(
        "shift_traffic", lambda: strategies.shift_traffic(resources, proposal, proven, clock=clock)
    )
    return stopwatch.time(
        "watch_release", lambda: watch.watch_release(resources, proposal, clock=clock)
    )


def land(resources: Resources, file: Path) -> None:
    """Put a file into the landing zone as a careful sender does: whole, by renaming it."""
    folder = Path(resources.spec.landing_uri(resources.settings))
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / f".{file.name}.part"
    shutil.copyfile(file, hidden)
    hidden.rename(folder / file.name)


def _freeze(resources: Resources, watch: Stopwatch, clock: Clock) -> Snapshot:
    wanted = claim.Wanted(run_id=OWNER)
    claimed: Claim = watch.time(
        "claim_requests", lambda: claim.claim_requests(resources, wanted, now=clock())
    )
    return watch.time(
        "freeze_snapshot", lambda: freeze.freeze_snapshot(resources, claimed, now=clock())
    )


def _run_trials(resources: Resources, snapshot: Snapshot, clock: Clock) -> list[dict[str, Any]]:
    """Workers side by side, as mapped tasks are; threads, for a fork after a fit would hang."""
    workers = range(snapshot.budget.workers)
    with ThreadPoolExecutor(max_workers=len(workers)) as pool:
        return list(
            pool.map(lambda w: tune.run_worker(resources, snapshot, w, clock=clock), workers)
        )


def _train(resources: Resources, snapshot: Snapshot, watch: Stopwatch, clock: Clock) -> Candidate:
    watch.time("run_trials", lambda: _run_trials(resources, snapshot, clock))
    fitted = watch.time(
        "fit_challenger", lambda: fit.fit_challenger(resources, snapshot, clock=clock)
    )
    judged = watch.time(
        "judge_challenger", lambda: judge.judge_challenger(resources, snapshot, fitted)
    )
    return watch.time(
        "register_candidate",
        lambda: register.register_candidate(resources, snapshot, fitted, judged),
    )
