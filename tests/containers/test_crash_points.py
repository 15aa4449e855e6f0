"""A deploy that dies at every effect on the engine, one after another, ends as if it never had."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.evergreen.adapters.runtime.docker_engine import LOCAL_SOCKET
from tests.chaos import rides, world
from tests.chaos.recording import GRACE_S
from tests.chaos.sweep import Client
from tests.chaos.world import World

pytestmark = pytest.mark.filterwarnings("default")
SPEC = {
    **rides.SPEC,
    "deployment": {**rides.SPEC["deployment"], "runtime": "docker", "memory_mib": 512},
}
#: The effects on the engine, in the tasks of deploy that have them.
DEATHS = [
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
#: Every point is passed before and after, unless the try before has done its work.
LEAST = 20
LATER_S = 2 * 24 * 3600.0


@pytest.fixture
def installation_on_engine(tmp_path: Path, engine: Any) -> Iterator[World]:
    with world.opened(tmp_path / "chaos", SPEC, LOCAL_SOCKET) as opened:
        yield opened
        left = opened.server.call("tests.chaos.inside:remove_services")
    for reference in left.value or ():
        engine.remove_image(reference, force=True)


def test_a_deploy_that_dies_at_every_effect_loses_nothing(installation_on_engine: World) -> None:
    opened = installation_on_engine
    rides.land(opened.home, 0)
    for dag in ("ingest", "train", "deploy"):
        opened.run_dag(dag)
    rides.land(opened.home, 1)
    for dag in ("ingest", "train"):
        opened.run_dag(dag)
    run = opened.new_run("deploy")
    opened.must(run, "choose_version")
    died: list[str] = []
    with Client(opened, asks=True) as client:
        for task, points in DEATHS:
            for point in points:
                for moment in ("before", "after"):
                    ended = opened.run_task(run, task, EVERGREEN_FAILPOINT=f"{point}:{moment}")
                    if ended.state == "killed":
                        died.append(f"{point}:{moment}")
            if task not in run.ended:
                opened.must(run, task)
    assert client.failures == []
    assert client.answered > 10
    assert len(died) == len(set(died)) >= LEAST, died
    opened.run_dag("maintain", shift_s=LATER_S)
    looked = opened.server.call("tests.chaos.inside:look", shift_s=LATER_S, grace_s=GRACE_S)
    assert looked.value["violations"] == []
    assert opened.live()["version"] == 2
    assert looked.value["facts"]["aliases"] == [["challenger", 2], ["staging", 2]]
