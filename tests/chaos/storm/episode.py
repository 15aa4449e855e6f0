"""One episode: land, let the faults strike, wait until all is quiet, and judge what is left."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.evergreen.stages.resources import Resources
from tests.chaos.storm import airflow_faults, around, judging, plan, quiet
from tests.chaos.storm.client import Client
from tests.chaos.storm.history import History
from tests.chaos.storm.model import MODEL
from tests.chaos.storm.place import Place
from tests.chaos.storm.plan import Landing, Plan, Strike

FAULTS = {**airflow_faults.FAULTS, **around.FAULTS}


@dataclass
class Outcome:
    """What an episode came to. `healthy_s` runs from the end of the last fault, of kind `last`."""

    seed: int
    database: str
    runtime: str
    history: Path
    faults: list[str] = field(default_factory=list)
    last: str = ""
    healthy_s: float = 0.0
    seconds: float = 0.0
    answered: int = 0
    lost: int = 0
    engine_down: int = 0
    broken: list[str] = field(default_factory=list)

    def told(self) -> str:
        how = "BROKE" if self.broken else "held "
        line = (
            f"{how} CHAOS_SEED={self.seed} {self.database}/{self.runtime}: "
            f"{', '.join(self.faults)}; healthy {self.healthy_s:.1f} s after '{self.last}', "
            f"{self.seconds:.0f} s in all, {self.answered} requests answered, {self.lost} lost"
        )
        return "\n        ".join([line, *self.broken])


def run(place: Place, seed: int, folder: Path) -> Outcome:
    """Run the plan of a seed on a place that is quiet, and leave it quiet."""
    drawn = plan.draw(seed, place.kinds())
    history = History(folder / f"seed-{seed}.jsonl")
    history.note("plan", database=place.database, **dataclasses.asdict(drawn))
    outcome = Outcome(seed, place.database, drawn.runtime, history.path)
    began = time.monotonic()
    place.write_spec(drawn.runtime)
    place.deliveries.laws.change(random.Random(seed))
    resources = place.resources()
    client = Client(resources, place.deliveries.laws.requests, place.engine_is_down)
    with client:
        _storm(place, drawn, history, outcome)
        history.note("faults are over", last=outcome.last)
        outcome.healthy_s, left = quiet.wait(place, resources)
    history.note("quiet" if not left else "never quiet", seconds=outcome.healthy_s, left=left)
    outcome.broken += [f"not quiet after {quiet.PATIENCE_S:.0f} s: {words}" for words in left[:5]]
    score = client.score
    outcome.answered, outcome.lost = score.answered.total(), len(score.lost)
    outcome.engine_down = score.engine_down
    outcome.broken += [f"a request was lost: {why}" for why in score.lost[:3]]
    outcome.broken += _judged(place, resources, history)
    resources.ledger.close()
    place.episodes += 1
    outcome.seconds = time.monotonic() - began
    used = {"small_disk_bytes": place.disk.used_bytes()}
    history.note("judged", broken=outcome.broken, answered=dict(score.answered), **used)
    if outcome.broken:
        history.note("the ledger's words", story=place.stack.story(MODEL).splitlines())
    return outcome


def _judged(place: Place, resources: Resources, history: History) -> list[str]:
    try:
        return _broken_at_rest(place, resources, history)
    except Exception as error:  # noqa: BLE001 - a lake that cannot be read is a finding
        return [f"it cannot be judged: {error!r:.500}"]


def _broken_at_rest(place: Place, resources: Resources, history: History) -> list[str]:
    """What is broken while nothing happens: a run on schedule may be in the middle of its work."""
    broken = judging.broken_now(place, resources)
    if not broken:
        return []
    history.note("judged while work may be under way", broken=broken)
    with place.airflow.still():
        return judging.broken_now(place, resources)


def _storm(place: Place, drawn: Plan, history: History, outcome: Outcome) -> None:
    """All that the plan says, each in a thread of its own; returns when the last has ended."""
    began = time.monotonic()
    ended: dict[str, float] = {}

    def strike(fault: Strike) -> None:
        history.note("strikes", kind=fault.kind)
        details = FAULTS[fault.kind](place, random.Random(fault.seed))
        ended[fault.kind] = time.monotonic()
        history.note("lifted", kind=fault.kind, details=details)

    def land(landing: Landing) -> None:
        place.deliveries.land(landing, history)

    jobs: list[tuple[float, Callable[..., None], Any]] = [
        *((landing.at_s, land, landing) for landing in drawn.landings),
        *((fault.at_s, strike, fault) for fault in drawn.strikes),
    ]
    threads = []
    for at_s, do, what in jobs:
        threads.append(threading.Thread(target=_at, args=(began + at_s, do, what, outcome)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    outcome.faults = [fault.kind for fault in drawn.strikes]
    outcome.last = max(ended, key=lambda kind: ended[kind], default="")


def _at(when: float, do: Callable[..., None], what: Any, outcome: Outcome) -> None:
    time.sleep(max(0.0, when - time.monotonic()))
    try:
        do(what)
    except Exception as error:  # noqa: BLE001 - a storm that cannot rage proves nothing
        outcome.broken.append(f"{what} could not be done: {error!r:.300}")
