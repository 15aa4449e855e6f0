"""What is not as it must be after an episode is seen, each by itself; and the table adds up."""

from __future__ import annotations

import os
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.releases import report
from tests.chaos.releases.clients import Answer
from tests.chaos.releases.episode import Outcome, _broken
from tests.chaos.releases.plan import Plan

ENDED = 20.0


def answer(sent: float, who: str = "1", status: int = 200, *, right: bool = True) -> Answer:
    why = "The model gives no finite prediction" if who == "2" and status == 500 else ""
    return Answer(sent, sent + 0.01, who, status, right, 1, 5.0, why)


def outcome(fault: str = "crash", **what: Any) -> Outcome:
    plan = Plan(0, "canary", fault, "step", 0.5)
    return Outcome(plan, **{"end": "aborted", "struck": fault != "none", "back_s": 1.0, **what})


def judged(came_of_it: Outcome, *answers: Answer, live: int = 1, left: int = 1) -> list[str]:
    found = [SimpleNamespace(name=f"s{n}") for n in range(left)]
    house = SimpleNamespace(
        live=lambda: live,
        champion=lambda: 1,
        runtime=SimpleNamespace(find=lambda *_: found),
    )
    seen = [*answers, answer(ENDED + 1)]
    return list(_broken(SimpleNamespace(house=house), came_of_it, seen, 1, ENDED))


def test_what_held_is_sound() -> None:
    assert judged(outcome(), answer(1), answer(2, "2")) == []
    refused = answer(2, "2", 500, right=False)
    assert judged(outcome("nan"), refused) == [], "a model that answers NaN is refused"


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (answer(2, "", 0, right=False), "1 requests lost"),
        (answer(2, "", 503, right=False), "1 requests 5xx"),
        (answer(2, "1", 500, right=False), "1 requests 5xx"),
        (answer(2, "2", right=False), "1 requests wrong"),
        (answer(2, "2", 500, right=False), "1 requests refused"),
        (answer(ENDED + 0.5, "2"), "after the end v1 must answer everything"),
    ],
)
def test_a_bad_answer_is_seen(bad: Answer, why: str) -> None:
    (seen,) = judged(outcome(), bad)
    assert seen.startswith(why)


@pytest.mark.parametrize(
    ("came_of_it", "left", "why"),
    [
        (outcome(end="released", back_s=None), {}, "it was released, whatever befell it"),
        (outcome("none"), {}, "it was aborted, and nothing had befallen it"),
        (outcome(end="never ended", why="no end"), {}, "the release came to no end: no end"),
        (outcome(back_s=30.5), {}, "the old version was back after 30.5 s"),
        (outcome(), {"live": 2}, "v2 is live and v1 champion; v1 must be both"),
        (outcome(), {"left": 2}, "one service must be left: ['s0', 's1']"),
    ],
)
def test_a_bad_end_is_seen(came_of_it: Outcome, left: dict[str, int], why: str) -> None:
    assert judged(came_of_it, **left) == [why]


@pytest.mark.parametrize(("load", "excused"), [(1.0, False), (1e6, True)])
def test_a_good_version_is_too_slow_only_on_a_machine_that_is_out_of_breath(
    load: float, excused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    slow = outcome("none", why="p99 80 ms of 156 requests, 48 ms are allowed")
    assert bool(judged(slow)) == (not excused)
    assert judged(outcome("none", why="it ended")), "nothing else is excused"


def test_the_table_adds_up() -> None:
    outcomes = [
        outcome(requests=1000, kinds=Counter(answered=999, lost=1), slowest_s=1.25, back_s=2.5),
        outcome(requests=500, kinds=Counter(answered=500), slowest_s=0.5, back_s=0.0),
        outcome("none", end="released", requests=10, kinds=Counter(answered=10), back_s=None),
    ]
    head, _, none, crash, everything = report.table(outcomes)
    assert head.startswith("| strategy | fault | episodes | released | aborted or rolled back |")
    assert none == "| canary | none | 1 | 1 | 0 | 10 | 0 | 0 | 0 | 0 | 0.0 s |  |"
    assert crash == "| canary | crash | 2 | 0 | 2 | 1,500 | 1 | 0 | 0 | 0 | 1.2 s | 2.5 s |"
    assert everything == "| all |  | 3 | 1 | 2 | 1,510 | 1 | 0 | 0 | 0 | 1.2 s | 2.5 s |"
