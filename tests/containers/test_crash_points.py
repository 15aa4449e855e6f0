"""A deploy, a canary and its abort that die at each effect in turn end as if they never had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from include.evergreen.adapters.runtime.docker_engine import LOCAL_SOCKET
from tests.chaos import rides, world
from tests.chaos.recording import GRACE_S
from tests.chaos.sweep import Client
from tests.chaos.world import Ending, Run, World

pytestmark = pytest.mark.filterwarnings("default")
CANARY = {
    "steps": [0.3, 0.6],
    "window_s": 0.5,
    "min_requests": 3,
    "max_p99_ratio": 100.0,  # of two busy cores
    "max_prediction_shift": 1000.0,  # of a world that has changed
}
SPEC = {
    **rides.SPEC,
    "deployment": {
        **rides.SPEC["deployment"],
        "runtime": "docker",
        "memory_mib": 512,
        "strategy": "canary",
        "canary": CANARY,
        "service_levels": {
            **rides.SPEC["deployment"]["service_levels"],
            "load_seconds": 1.0,  # a full machine answers some
        },
    },
}
#: The effects of each task, in the order in which they come about; what is said twice comes twice.
Deaths = Sequence[tuple[str, tuple[str, ...]]]
DEPLOY: Deaths = [
    ("build_image", ("runtime.build", "runtime.serving", "runtime.version")),
    (
        "start_and_verify",
        ("runtime.open_place", "runtime.create", "runtime.start", "runtime.reach"),
    ),
    (
        "promote_to_staging",
        ("runtime.keep", "runtime.order", "runtime.publish", "runtime.withdraw", "runtime.remove"),
    ),
]
#: The first look says that the first step begins, and divides requests.
FIRST_STEP: Deaths = [
    ("start_in_production", ("ledger.begin_deployment", "runtime.start", "ledger.record_service")),
    ("shift_traffic", ("ledger.record_decision", "runtime.split")),
]
#: The challenger has ended meanwhile.
ABORT: Deaths = [
    (
        "shift_traffic",
        (
            *("ledger.record_decision", "runtime.publish", "runtime.remove"),
            *("ledger.finish_deployment", "ledger.record_decision"),
        ),
    ),
]
#: What both had counted when a step began is said, then its end, and in the end all is switched.
STEPS: Deaths = [
    (
        "shift_traffic",
        (
            *("ledger.record_decision", "runtime.split", "ledger.record_decision"),
            *("runtime.split", "ledger.record_decision"),
            *("runtime.keep", "ledger.finish_deployment", "runtime.publish"),
        ),
    ),
    ("watch_release", ("ledger.let_spare_go", "ledger.record_decision", "runtime.remove")),
]
LATER_S = 2 * 24 * 3600.0


@pytest.fixture
def installation_on_engine(tmp_path: Path, engine: Any) -> Iterator[World]:
    with world.opened(tmp_path / "chaos", SPEC, LOCAL_SOCKET) as opened:
        yield opened
        left = opened.server.call("tests.chaos.inside:remove_services")
    for reference in left.value or ():
        engine.remove_image(reference, force=True)


def die(opened: World, run: Run, deaths: Deaths) -> list[str]:
    """Each task is killed before and after each effect, as long as it passes one; where it died.

    All but the last one end then.
    """
    died: list[str] = []
    last, _ = deaths[-1]
    for task, points in deaths:
        for point in points:
            for moment in ("before", "after"):
                if task not in run.ended:
                    ended = opened.run_task(run, task, EVERGREEN_FAILPOINT=f"{point}:{moment}")
                    died += [f"{point}:{moment}"] if ended.state == "killed" else []
        if task not in {last, *run.ended}:
            opened.must(run, task)
    return died


def checked(opened: World) -> dict[str, Any]:
    """What came of it, two days and an upkeep later, with no rule violated."""
    opened.run_dag("maintain", shift_s=LATER_S)
    looked = opened.server.call("tests.chaos.inside:look", shift_s=LATER_S, grace_s=GRACE_S)
    assert looked.value["violations"] == []
    facts: dict[str, Any] = looked.value["facts"]
    return facts


def test_a_deploy_and_a_canary_that_die_at_every_effect_lose_nothing(
    installation_on_engine: World, engine: Any
) -> None:
    opened = installation_on_engine
    rides.land(opened.home, 0)
    for dag in ("ingest", "train", "deploy", "release"):
        opened.run_dag(dag)
    rides.land(opened.home, 1)
    for dag in ("ingest", "train"):
        opened.run_dag(dag)
    with Client(opened, asks=True, probe=False) as client:
        run = opened.new_run("deploy")
        opened.must(run, "choose_version")
        died = die(opened, run, DEPLOY)
        opened.finish(run)
        assert len(died) == len(set(died)) >= 20, died
        assert [live["version"] for live in opened.all_live()] == [1, 2]

        run = opened.new_run("release", ends=Ending("shift_traffic", "ReleaseAborted"))
        for task in ("choose_version", "approve_release"):
            opened.must(run, task)
        died = die(opened, run, FIRST_STEP)
        assert "runtime.split:after" in died, died
        challenger = run.ended["start_in_production"].value["service"]["name"]
        engine.kill(challenger)
        died = die(opened, run, ABORT)
        assert len(died) >= 8, died
        ended = opened.must(run, "shift_traffic")
        assert "v2 was not released: it ended" in ended.error
        assert engine.containers(all=True, filters={"name": f"^/{challenger}$"}) == []

        run = opened.new_run("release", params={"version": 2, "reason": "it was the machine"})
        for task in ("choose_version", "approve_release", "start_in_production"):
            opened.must(run, task)
        died = die(opened, run, STEPS)
        opened.finish(run)
        assert died.count("runtime.split:after") == 2, died
        assert {"ledger.finish_deployment:after", "ledger.let_spare_go:before"} <= set(died), died
    assert client.failures == []
    assert client.answered > 10
    facts = checked(opened)
    assert [live["version"] for live in opened.all_live()] == [2, 2]
    assert facts["aliases"] == [["challenger", 2], ["champion", 2], ["staging", 2]]
    assert [1, "production", "stopped"] in facts["deployments"]
    told = [event for (event,) in facts["journal"]]
    assert told.count("aborted:v2") == 1
    steps = [event for event in told if event.startswith("advanced:v2:step")]
    assert steps == [f"advanced:v2:step {step}" for step in (1, 1, 2, 3)], "the first was aborted"
