"""One episode: a version is released under load, a fault strikes it, and what came of it all."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from include.evergreen.contracts import Deployment, RunningService
from include.evergreen.errors import (
    ReleaseAborted,
    ReleaseRolledBack,
    Unavailable,
    VerificationFailed,
)
from include.evergreen.stages.clock import utc_now
from include.evergreen.stages.release import approval, strategies, watch
from tests.chaos.releases import faults
from tests.chaos.releases.clients import LONGEST_S, Answer, back_after_s, p99_s, tally
from tests.chaos.releases.place import MODEL, SLOW, FaultyHouse, Place
from tests.chaos.releases.plan import Plan

BACK_S = 30.0
_LONGEST_S, _LOOK_S, _TRIES, _RETRY_S = 90.0, 0.2, 3, 0.5
_AFTER_S = 0.7
#: An answer that took so much longer than usual was waited for, by the gateway or by a container.
_LATE_S = 2.0

End = Literal["released", "aborted", "rolled back", "failed", "never ended"]
T = TypeVar("T")


@dataclass
class Outcome:
    """What an episode came to. `back_s`: from the fault until the old version answered everything;
    None where the new one stayed.
    """

    plan: Plan
    end: End = "never ended"
    why: str = ""
    struck: bool = False
    requests: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    p99_ms: float = 0.0
    back_s: float | None = None
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def told(self) -> str:
        plan, how = self.plan, "BROKE" if self.broken else "held "
        fault = plan.fault if self.struck else f"{plan.fault} (did not strike)"
        back = "" if self.back_s is None else f", back after {self.back_s:.1f} s"
        line = (
            f"{how} CHAOS_SEED={plan.seed} {plan.strategy}, {fault} in '{plan.moment}' + "
            f"{plan.delay_s:.1f} s: "
            f"{self.end}{back}; {self.requests} requests, {dict(self.kinds)}, slowest "
            f"{self.slowest_s:.1f} s, p99 before {self.p99_ms:.0f} ms; {self.seconds:.0f} s. "
            f"{self.why.partition(chr(10))[0]}"
        )
        return "\n        ".join([line, *self.broken])


class _Fault:
    """Strikes once, so long after the moment that the plan says began."""

    def __init__(self, place: Place, plan: Plan, slow_s: float) -> None:
        self._place, self._plan, self._slow_s = place, plan, slow_s
        self._timer: threading.Timer | None = None
        self.at = 0.0  # 0: not yet

    def begin(self, moment: str, service: RunningService) -> None:
        if self._plan.fault == "none" or self._plan.moment != moment:
            return
        if self._plan.delay_s == 0:
            self._strike(service)
            return
        self._timer = threading.Timer(self._plan.delay_s, self._strike, (service,))
        self._timer.start()

    def end(self) -> None:
        """No fault strikes any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()

    def _strike(self, service: RunningService) -> None:
        at = time.monotonic()
        if faults.strike(self._plan.fault, service, self._place.engine, self._slow_s):
            self.at = at


def run(place: Place, plan: Plan) -> Outcome:
    """Release the version that is not in production, as the plan says, and judge what is left."""
    outcome, began = Outcome(plan, p99_ms=1000 * place.p99_s), time.monotonic()
    place.clients.take()
    old, new = place.live(), 3 - place.live()
    fault = _Fault(place, plan, SLOW * place.usual_s)
    try:
        _release(place, plan, place.house_of(plan), new, fault, outcome)
    except ReleaseAborted as end:
        outcome.end, outcome.why = "aborted", str(end)
    except ReleaseRolledBack as end:
        outcome.end, outcome.why = "rolled back", str(end)
    except VerificationFailed as end:
        outcome.end, outcome.why = "failed", str(end)
    except Unavailable as end:
        outcome.why = str(end)
    ended = time.monotonic()
    fault.end()
    outcome.struck = fault.at > 0
    time.sleep(_AFTER_S)
    while not place.clients.seen(ended) and time.monotonic() < ended + LONGEST_S:
        time.sleep(_AFTER_S)
    stays = new if outcome.end == "released" else old
    answers = place.clients.take()
    outcome.requests, outcome.kinds = len(answers), tally(answers)
    outcome.slowest_s = max((answer.seconds for answer in answers), default=0.0)
    if plan.fault not in ("hang", "slow"):
        place.p99s_s.append(p99_s(answers, str(old)))
    if outcome.struck and stays == old:
        outcome.back_s = back_after_s(answers, str(old), fault.at, _LATE_S)
    outcome.broken += _broken(place, outcome, answers, stays, ended)
    outcome.seconds = time.monotonic() - began
    return outcome


def _release(
    place: Place, plan: Plan, house: FaultyHouse, new: int, fault: _Fault, outcome: Outcome
) -> None:
    """All tasks of a release, each tried as often as Airflow would."""
    proposal = house.propose(new)
    assert proposal is not None
    assert approval.approve(house.resources, proposal, now=house.now())
    proven = _retried(lambda: house.start(proposal))
    try:
        fault.begin("before", proven.service)
        fault.begin("step", proven.service)
        deployed = _looked(
            lambda: strategies.shift_traffic(house.resources, proposal, proven),
            _labels(place, plan, new),
        )
        fault.begin("watch", deployed.service)
        _looked(lambda: watch.watch_release(house.resources, proposal, clock=utc_now))
        outcome.end = "released"
    finally:
        fault.end()
        faults.heal(proven.service, place.engine)


def _looked(
    look: Callable[[], Deployment | None], meanwhile: Callable[[], None] | None = None
) -> Deployment:
    """Look again and again until there is an answer, as a task that gives its worker back does."""
    began = time.monotonic()
    while time.monotonic() - began < _LONGEST_S:
        deployed = _retried(look)
        if deployed is not None:
            return deployed
        if meanwhile is not None:
            meanwhile()
        time.sleep(_LOOK_S)
    raise Unavailable(f"no end after {_LONGEST_S:g} s")


def _retried(do: Callable[[], T]) -> T:
    for _ in range(_TRIES):
        try:
            return do()
        except Unavailable as error:
            print(f"        tried again: {error}", flush=True)
            time.sleep(_RETRY_S)
    return do()


def _labels(place: Place, plan: Plan, new: int) -> Callable[[], None] | None:
    """In an a/b test labels come all the time, and say that the new version is right."""
    if plan.strategy != "ab":
        return None
    since = time.monotonic()

    def label() -> None:
        nonlocal since
        until = time.monotonic()
        answers = [answer for answer in place.clients.seen(since) if answer.sent < until]
        since = until
        place.label(answers, new)

    return label


def _out_of_breath(outcome: Outcome) -> bool:
    """Whether a version was too slow on a machine that has much else to do: nobody can tell why."""
    is_slow = any(word in outcome.why for word in ("p99", "load_rate", "no answer after"))
    return is_slow and os.getloadavg()[0] > 2 * (os.cpu_count() or 1)


def _broken(
    place: Place, outcome: Outcome, answers: list[Answer], stays: int, ended: float
) -> Iterator[str]:
    """What is not as it must be."""
    yield from _badly_answered(answers, may_refuse=outcome.plan.fault == "nan")
    if outcome.end == "never ended":
        yield f"the release came to no end: {outcome.why}"
    elif outcome.struck and outcome.end == "released":
        yield "it was released, whatever befell it"
    elif not outcome.struck and outcome.end != "released" and not _out_of_breath(outcome):
        yield f"it was {outcome.end}, and nothing had befallen it"
    if outcome.back_s is not None and outcome.back_s > BACK_S:
        yield f"the old version was back after {outcome.back_s:.1f} s"
    late = {(a.who, a.kind) for a in answers if a.sent > ended}
    if late != {(str(stays), "answered")}:
        yield f"after the end v{stays} must answer everything; seen {late}"
    yield from _badly_left(place.house, stays)


def _badly_answered(answers: list[Answer], *, may_refuse: bool) -> Iterator[str]:
    for kind in ("lost", "5xx", "wrong", *(() if may_refuse else ("refused",))):
        found = [answer for answer in answers if answer.kind == kind]
        if found:
            yield f"{len(found)} requests {kind}, the first: {found[0]}"


def _badly_left(house: FaultyHouse, stays: int) -> Iterator[str]:
    if (house.live(), house.champion()) != (stays, stays):
        yield f"v{house.live()} is live and v{house.champion()} champion; v{stays} must be both"
    running = [service.name for service in house.runtime.find(MODEL, "production")]
    if len(running) != 1:
        yield f"one service must be left: {running}"
