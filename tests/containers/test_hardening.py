"""What a service's container may not do: read off the engine, and tried from inside."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime import Limits, ServiceOrder
from include.evergreen.adapters.runtime.docker_images import ServingImages
from include.evergreen.adapters.runtime.docker_runtime import DockerRuntime
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from tests.containers.conftest import SPEC, remove_all, write_bundle

LIMITS = Limits(memory_mib=256, cpus=0.5, pids=32)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> evergreen_settings.Settings:
    home = tmp_path_factory.mktemp("hardening") / "home"
    return evergreen_settings.load({"EVERGREEN_HOME": str(home)})


@pytest.fixture(scope="module")
def runtime(engine: Any, installation: evergreen_settings.Settings) -> DockerRuntime:
    return DockerRuntime(installation, engine, ServingImages(installation, engine))


@pytest.fixture(scope="module")
def image(
    engine: Any, runtime: DockerRuntime, installation: evergreen_settings.Settings
) -> Iterator[BuiltImage]:
    folder = installation.home / "made" / "bundle"
    digest = write_bundle(folder, ModelSpec.model_validate(SPEC), 1, "a" * 64)
    built = runtime.build(
        folder, model="rides", version=1, manifest_digest=digest, training_key="a" * 64
    )
    yield built
    remove_all(runtime)
    engine.remove_image(built.reference, force=True)


def order(image: BuiltImage, settings: evergreen_settings.Settings, **changes: Any) -> ServiceOrder:
    values = {
        "image": image,
        "environment": "staging",
        "limits": LIMITS,
        "spool": settings.spool_dir / "rides" / "v1-staging",
        **changes,
    }
    return ServiceOrder(**values)


@pytest.fixture(scope="module")
def service(
    runtime: DockerRuntime, image: BuiltImage, installation: evergreen_settings.Settings
) -> RunningService:
    started = runtime.start(order(image, installation))
    with ServiceProbe(runtime.reach(started)) as probe:
        deadline = time.monotonic() + 60
        while probe.get("/ping")[0] != 200:
            assert time.monotonic() < deadline, runtime.logs(started, lines=20)
            time.sleep(0.05)
    return started


def inside(engine: Any, service: RunningService, script: str) -> tuple[int, str]:
    """Exit code and output of a Python script run in the service's container."""
    command = ["/opt/serving/bin/python", "-c", script]
    made = engine.exec_create(service.service_id, command)
    said = engine.exec_start(made["Id"]).decode()
    return engine.exec_inspect(made["Id"])["ExitCode"], said


def test_the_engine_holds_every_limit(engine: Any, service: RunningService) -> None:
    found = engine.inspect_container(service.service_id)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 256 * 2**20
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == 32
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    assert not host["PortBindings"], "the gateway alone publishes ports"
    (network,) = found["NetworkSettings"]["Networks"].values()
    assert engine.inspect_network(network["NetworkID"])["Internal"] is True
    assert not host["PidMode"]
    assert host["RestartPolicy"]["Name"] == "no", "a candidate that ends stays ended"
    assert found["Config"]["User"].split(":")[0] not in ("", "0", "root")
    assert [(m["Destination"], m["RW"]) for m in found["Mounts"]] == [("/spool", True)]


def test_the_container_says_what_it_is(
    engine: Any, service: RunningService, image: BuiltImage
) -> None:
    labels = engine.inspect_container(service.service_id)["Config"]["Labels"]
    assert labels["evergreen.model"] == "rides"
    assert labels["evergreen.version"] == "1"
    assert labels["evergreen.environment"] == "staging"
    assert labels["evergreen.manifest"] == image.manifest_digest
    assert labels["evergreen.training"] == "a" * 64, "the image's labels are the container's"


def test_from_inside_nothing_but_the_spool_and_tmp_can_be_written(
    engine: Any, service: RunningService
) -> None:
    for path in ("/app/x", "/bundle/manifest.json", "/etc/x", "/opt/serving/x"):
        code, said = inside(engine, service, f"open({path!r}, 'w')")
        assert code == 1, path
        assert "Read-only file system" in said or "Permission denied" in said, said
    for path in ("/spool/x", "/tmp/x"):
        code, said = inside(engine, service, f"open({path!r}, 'w').close()")
        assert code == 0, said


def test_from_inside_there_is_no_root_and_no_capability(
    engine: Any, service: RunningService
) -> None:
    code, said = inside(engine, service, "import os; os.setuid(0)")
    assert code == 1
    assert "PermissionError" in said
    _, status = inside(engine, service, "print(open('/proc/1/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["CapEff"] == "0000000000000000"
    assert fields["CapBnd"] == "0000000000000000"
    assert fields["NoNewPrivs"] == "1"


def test_from_inside_nothing_in_tmp_can_be_executed(engine: Any, service: RunningService) -> None:
    script = (
        "import os, shutil; shutil.copy('/bin/true', '/tmp/true'); os.chmod('/tmp/true', 0o755);"
        "os.execv('/tmp/true', ['true'])"
    )
    code, said = inside(engine, service, script)
    assert code == 1
    assert "PermissionError" in said


def test_from_inside_processes_and_memory_are_bounded(
    engine: Any, runtime: DockerRuntime, service: RunningService
) -> None:
    bomb = (
        "import subprocess, sys\nmade = []\n"
        "try:\n for _ in range(64): made.append(subprocess.Popen(['sleep', '5']))\n"
        "except BlockingIOError: print('bounded at', len(made))\n"
        "for each in made: each.kill()\n"
    )
    _, said = inside(engine, service, bomb)
    assert "bounded at" in said
    code, _ = inside(engine, service, "x = bytearray(512 * 2**20)")
    assert code == 137, "the kernel ended what took more than its share"
    with ServiceProbe(runtime.reach(service)) as probe:
        assert probe.get("/ping")[0] == 200, "and the service still answers"


def test_the_engine_itself_finds_the_service_healthy(engine: Any, service: RunningService) -> None:
    deadline = time.monotonic() + 40
    while True:
        health = engine.inspect_container(service.service_id)["State"]["Health"]
        if health["Status"] == "healthy":
            return
        assert time.monotonic() < deadline, health
        time.sleep(0.5)


def test_a_kept_service_comes_back_after_a_crash(
    engine: Any,
    runtime: DockerRuntime,
    image: BuiltImage,
    installation: evergreen_settings.Settings,
    service: RunningService,
) -> None:
    runtime.keep(service)
    policy = engine.inspect_container(service.service_id)["HostConfig"]["RestartPolicy"]
    assert policy["Name"] == "unless-stopped"
    inside(engine, service, "import os, signal; os.kill(1, signal.SIGTERM)")
    with ServiceProbe(runtime.reach(service)) as probe:
        deadline = time.monotonic() + 60
        restarts = 0
        while not restarts or probe.get("/ping")[0] != 200:
            restarts = engine.inspect_container(service.service_id)["RestartCount"]
            assert time.monotonic() < deadline, "it did not come back at its address"
            time.sleep(0.1)
    assert runtime.start(order(image, installation)) == service, "it is found, not made anew"


def test_a_container_with_other_limits_is_made_anew(
    runtime: DockerRuntime,
    image: BuiltImage,
    installation: evergreen_settings.Settings,
    service: RunningService,
) -> None:
    wider = order(image, installation, limits=Limits(memory_mib=300, cpus=0.5, pids=32))
    again = runtime.start(wider)
    assert again.name == service.name
    assert again.service_id != service.service_id
    assert [s.service_id for s in runtime.find("rides", "staging")] == [again.service_id]


def test_more_cpus_than_the_machine_has_are_brought_down_to_them(
    engine: Any,
    runtime: DockerRuntime,
    image: BuiltImage,
    installation: evergreen_settings.Settings,
) -> None:
    greedy = order(image, installation, limits=Limits(memory_mib=256, cpus=200.0, pids=32))
    started = runtime.start(greedy)
    cpus = engine.inspect_container(started.service_id)["HostConfig"]["NanoCpus"] / 1e9
    assert cpus == engine.info()["NCPU"]


def test_two_installations_on_one_engine_do_not_see_each_other(
    engine: Any, runtime: DockerRuntime, image: BuiltImage, installation: Any, tmp_path: Any
) -> None:
    mine = runtime.start(order(image, installation))
    other = evergreen_settings.load({"EVERGREEN_HOME": str(tmp_path / "other")})
    neighbour = DockerRuntime(other, engine, ServingImages(other, engine))
    assert neighbour.find() == []
    theirs = neighbour.start(order(image, other))
    try:
        assert theirs.name != mine.name
        assert neighbour.find() == [theirs]
        assert mine in runtime.find()
    finally:
        remove_all(neighbour)
    assert runtime.state(mine) != "gone"
