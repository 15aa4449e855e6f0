"""The watcher fires once a burst, waits for what grows, and survives whatever a scan meets."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from airflow.triggers.base import BaseEventTrigger
from moto.server import ThreadedMotoServer

from include.evergreen import airflow_lookup, triggers
from include.evergreen.settings import Settings, load
from include.evergreen.spec import load_spec
from include.evergreen.stages.ingest import ingest
from include.evergreen.stages.resources import Resources
from include.evergreen.triggers import LandingTrigger

SPEC = """
model: demo
task: regression
data:
  landing: {landing}
  target: y
  key: k
  limits: {{settle_s: 0.3, max_duplicate_share: 1}}
  labels: {{landing: landing/labels, key: k}}
  columns:
    x: {{type: float}}
    y: {{type: float}}
training: {{metric: rmse}}
"""


class World:
    """An installation with one model, its landing zone, and a stand-in for ingest."""

    def __init__(self, home: Path, landing: str = "landing/demo", **environ: str) -> None:
        self.zone = home / "landing" / "demo"
        self.zone.mkdir(parents=True)
        self.labels = home / "landing" / "labels"
        self.models = home / "models"
        self.models.mkdir()
        (self.models / "demo.yaml").write_text(SPEC.format(landing=landing))
        self.settings = load(
            {"EVERGREEN_HOME": str(home), "EVERGREEN_MODELS_DIR": str(self.models), **environ}
        )

    @property
    def resources(self) -> Resources:
        return Resources(load_spec(self.models / "demo.yaml"), self.settings)

    def land(self, *names: str) -> None:
        for index, name in enumerate(names):
            (self.zone / name).write_text(f"k,x,y\n{name}{index},1,2\n")

    def ingest(self) -> int:
        now = dt.datetime.now(dt.UTC)
        resources = self.resources
        files = ingest.discover_files(resources, now=now)
        return len(ingest.ingest_files(resources, files, owner="test", now=now).files)

    def events(self, seconds: float, *steps: tuple[float, object]) -> list[dict]:
        """What a fresh trigger says within some seconds; each step is called at its time."""
        return asyncio.run(self._events(seconds, list(steps)))

    async def _events(self, seconds: float, steps: list) -> list[dict]:
        seen: list[dict] = []

        async def watch() -> None:
            async for event in LandingTrigger("demo", poll_s=0.1).run():
                seen.append(event.payload)  # noqa: PERF401 - it is cancelled in between

        async def act() -> None:
            started = time.monotonic()
            for at, step in steps:
                await asyncio.sleep(max(0, at - (time.monotonic() - started)))
                await asyncio.to_thread(step)

        watching = asyncio.create_task(watch())
        acting = asyncio.create_task(act())
        await asyncio.sleep(seconds)
        watching.cancel()
        await acting
        return seen


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path / "home")
    use(world.settings, monkeypatch)
    return world


def use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings without a running Airflow that would be asked for connections."""
    monkeypatch.setattr(airflow_lookup, "load_settings", lambda: settings)


def test_a_burst_of_ten_files_is_one_event(world: World):
    burst = [f"{index}.csv" for index in range(10)]
    events = world.events(
        3, (0.3, lambda: world.land(*burst[:5])), (0.5, lambda: world.land(*burst[5:]))
    )
    assert [event["files"] for event in events] == [10]
    assert events[0]["model"] == "demo"
    assert events[0]["newest"].endswith(".csv")


def test_what_ingest_took_does_not_fire_and_what_comes_later_does(world: World):
    world.land("a.csv", "b.csv")
    time.sleep(0.4)
    assert world.ingest() == 2
    events = world.events(3.5, (1.5, lambda: world.land("c.csv")))
    assert [(event["files"], event["newest"][-5:]) for event in events] == [(1, "c.csv")]


def test_a_file_that_has_settled_does_not_wait_for_the_next_poll(world: World):
    world.land("a.csv")

    async def first_event() -> float:
        started = time.monotonic()
        await anext(LandingTrigger("demo", poll_s=30).run())
        return time.monotonic() - started

    settle_s = world.resources.spec.data.limits.settle_s
    assert settle_s <= asyncio.run(first_event()) < 10


def test_a_quarantined_file_does_not_fire_again(world: World):
    (world.zone / "bad.csv").write_text("")
    (world.zone / "link.csv").symlink_to("/etc/passwd")
    time.sleep(0.4)
    assert world.ingest() == 2
    assert world.events(1.5) == []


def test_a_growing_file_is_waited_for(world: World):
    def grow() -> None:
        until = time.monotonic() + 1.5
        with (world.zone / "slow.csv").open("a") as file:
            while time.monotonic() < until:
                file.write("1,2,3\n")
                file.flush()
                time.sleep(0.05)

    assert world.events(1.4, (0, grow)) == []
    assert [event["files"] for event in world.events(1.5)] == [1]


def test_one_growing_file_does_not_hold_the_others_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(triggers, "_HOLD_S", 0.5)
    world.land("done.csv")

    def grow() -> None:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            (world.zone / "slow.csv").write_text(str(time.monotonic()))
            time.sleep(0.05)

    events = world.events(2.5, (0, grow))
    assert [event["newest"][-8:] for event in events] == ["done.csv"]


def test_a_restart_tells_again_of_what_nobody_took(world: World):
    world.land("a.csv")
    assert len(world.events(1.5)) == 1
    assert len(world.events(1.5)) == 1


def test_what_nobody_takes_is_told_again_after_a_while_and_then_more_rarely(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(triggers, "_TELL_AGAIN_S", 0.5)
    world.land("a.csv")
    events = world.events(4.5)
    assert 3 <= len(events) <= 4, "at 0.4, 0.9 and 1.9 s, perhaps 3.9 s"


def test_a_file_replaced_under_its_name_fires(world: World):
    world.land("a.csv")
    time.sleep(0.4)
    world.ingest()
    events = world.events(2.5, (0.5, lambda: (world.zone / "a.csv").write_text("k,x,y\nz,3,4\n")))
    assert len(events) == 1


def test_late_labels_fire_too(world: World):
    world.labels.mkdir()

    def land() -> None:
        (world.labels / "l.csv").write_text("k,y\na,3\n")

    assert [event["newest"][-5:] for event in world.events(2, (0.3, land))] == ["l.csv"]


def test_a_scan_that_fails_is_logged_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    world.land("a.csv")
    failures = iter([OSError("database is locked"), OSError("database is locked")])
    look = triggers._Watch.look

    def flaky(watch: triggers._Watch) -> list:
        for failure in failures:
            raise failure
        return look(watch)

    monkeypatch.setattr(triggers._Watch, "look", flaky)
    with caplog.at_level(logging.WARNING):
        assert len(world.events(3)) == 1
    assert "demo failed, 2 times in a row now: OSError: database is locked" in caplog.text


def test_without_its_spec_it_idles_and_with_it_it_wakes(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(triggers, "_RELOAD_S", 0.1)
    spec = world.models / "demo.yaml"
    text = spec.read_text()
    spec.unlink()
    world.land("a.csv")
    assert world.events(1) == []
    assert len(world.events(2.5, (0.5, lambda: spec.write_text(text)))) == 1


def test_the_trigger_comes_back_from_what_airflow_stores():
    classpath, arguments = LandingTrigger("demo", poll_s=0.5).serialize()
    module, _, name = classpath.rpartition(".")
    assert getattr(sys.modules[module], name) is LandingTrigger
    assert LandingTrigger(**arguments).serialize() == (classpath, arguments)
    same = BaseEventTrigger.hash(*LandingTrigger("demo", 0.5).serialize())
    assert BaseEventTrigger.hash(classpath, arguments) == same
    assert BaseEventTrigger.hash(*LandingTrigger("other", 0.5).serialize()) != same


def test_importing_it_loads_nothing_heavy(project_root: Path):
    code = (
        "import sys, include.evergreen.triggers;"
        "heavy = {'polars', 'deltalake', 'boto3', 'mlflow', 'pandas', 'sklearn'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project_root,
        env={**os.environ, "PYTHONPATH": str(project_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_an_s3_prefix_is_watched(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    access = {"ENDPOINT_URL": s3, "ACCESS_KEY": "a", "SECRET_KEY": "b", "REGION": "us-east-1"}
    environ = {f"EVERGREEN_S3_{name}": value for name, value in access.items()}
    world = World(tmp_path / "home", "s3://watched-rides/in/", **environ)
    use(world.settings, monkeypatch)
    client = boto3.client(
        "s3",
        endpoint_url=s3,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="watched-rides")

    def land() -> None:
        for index in range(3):
            client.put_object(Bucket="watched-rides", Key=f"in/{index}.csv", Body=b"k,x,y\n1,2,3\n")

    events = world.events(5, (1, land))
    assert sum(event["files"] for event in events[-1:]) == 3
    assert events[-1]["newest"].startswith("s3://watched-rides/in/")
    assert world.ingest() == 3
    assert world.events(1.5) == []
