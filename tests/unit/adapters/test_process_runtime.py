"""A service without an engine: it outlives its starter, and only it is ever signalled."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime import DoorSettings, Limits, ServiceOrder, Traffic
from include.evergreen.adapters.runtime.process_runtime import ProcessRuntime
from include.evergreen.contracts import BuiltImage
from include.evergreen.errors import ArtifactRefused, Unsupported, is_retryable

APP = """
import argparse, json, os, resource, signal, socket, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--host"); parser.add_argument("--port", type=int)
options = parser.parse_args()
if os.environ.get("EVERGREEN_STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.create_server((options.host, options.port))
print(json.dumps({
    "env": dict(os.environ),
    "memory": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
    "session": os.getsid(0),
    "parent": os.getppid(),
}), flush=True)
while True:
    listening.accept()[0].close()
"""
#: A serving recipe whose app does next to nothing.
RECIPE = {
    "app.py": APP,
    "requirements-onnx.lock": "",
    "requirements-sklearn.lock": "",
    "Dockerfile": "",
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "serving"
    folder.mkdir()
    for name, text in RECIPE.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def runtime(installation: evergreen_settings.Settings, recipe: Path) -> Iterator[ProcessRuntime]:
    found = ProcessRuntime(installation, recipe)
    yield found
    for service in found.find():
        found.remove(service, grace_s=0.1)


def build(runtime: ProcessRuntime, folder: Path, version: int = 3) -> BuiltImage:
    bundle = folder / f"bundle-{version}"
    bundle.mkdir(exist_ok=True)
    (bundle / "manifest.json").write_text(json.dumps({"version": version}))
    digest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    return runtime.build(
        bundle, model="rides", version=version, manifest_digest=digest, training_key="k"
    )


def order(image: BuiltImage, folder: Path, **env: str) -> ServiceOrder:
    return ServiceOrder(image, "staging", Limits(256, 1.0, 64), folder / "spool", env)


def report(runtime: ProcessRuntime, service: object) -> dict:
    deadline = time.monotonic() + 30
    while not (said := runtime.logs(service, lines=1)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads(said)


def test_a_service_knows_nothing_of_its_starter_and_keeps_its_limits(
    runtime: ProcessRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "secret")
    service = runtime.start(order(build(runtime, tmp_path), tmp_path, EVERGREEN_MAX_ROWS="5"))
    seen = report(runtime, service)
    assert not [name for name in seen["env"] if name.startswith("AIRFLOW")]
    assert seen["env"]["EVERGREEN_MAX_ROWS"] == "5"
    assert seen["env"]["EVERGREEN_SPOOL"] == str(tmp_path / "spool")
    assert seen["memory"] == 256 * 2**20
    assert seen["core"] == 0
    pid = int(service.service_id.split(":")[0])
    assert seen["session"] not in (os.getsid(0), pid), "a session of its own, and not its leader"
    assert seen["parent"] != os.getpid()


def test_what_needs_a_gateway_is_refused_and_a_plain_switch_is_not(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    service = runtime.start(order(build(runtime, tmp_path), tmp_path))
    assert runtime.splits is False
    assert runtime.publish(service) == service
    with pytest.raises(Unsupported, match=r"cannot be the spare of .*: plain processes have no"):
        runtime.publish(service, spare=service)
    with pytest.raises(Unsupported, match=f"Requests cannot be divided among {service.name}: "):
        runtime.split({service: 1.0})
    runtime.guard("rides", "production", DoorSettings())
    with pytest.raises(Unsupported, match="rides in production cannot have a door"):
        runtime.guard("rides", "production", DoorSettings(token="shown-by-clients"))
    assert runtime.traffic("rides", "staging") == Traffic({}), "nobody is sent anywhere"
    assert is_retryable(Unsupported("")) is False


def test_starting_twice_is_one_process(runtime: ProcessRuntime, tmp_path: Path) -> None:
    asked = order(build(runtime, tmp_path), tmp_path)
    first = runtime.start(asked)
    assert runtime.start(asked) == first
    assert runtime.find("rides", "staging") == [first]
    assert runtime.find("other") == []


def test_a_changed_order_replaces_the_process(runtime: ProcessRuntime, tmp_path: Path) -> None:
    image = build(runtime, tmp_path)
    first = runtime.start(order(image, tmp_path))
    second = runtime.start(order(image, tmp_path, EVERGREEN_MAX_ROWS="7"))
    assert second.service_id != first.service_id
    assert not psutil.pid_exists(int(first.service_id.split(":")[0])) or (
        psutil.Process(int(first.service_id.split(":")[0])).status() == psutil.STATUS_ZOMBIE
    )


def test_a_service_survives_the_group_and_session_of_its_starter(
    runtime: ProcessRuntime, recipe: Path, tmp_path: Path, project_root: Path
) -> None:
    image = build(runtime, tmp_path)
    script = (
        "import sys, time; from pathlib import Path\n"
        "from include.evergreen import settings\n"
        "from include.evergreen.adapters.runtime import Limits, ServiceOrder\n"
        "from include.evergreen.adapters.runtime.process_runtime import ProcessRuntime\n"
        "from include.evergreen.contracts import BuiltImage\n"
        "import json\n"
        "home, recipe, image, spool = sys.argv[1:]\n"
        "runtime = ProcessRuntime(settings.load({'EVERGREEN_HOME': home}), Path(recipe))\n"
        "image = BuiltImage.from_json(json.loads(image))\n"
        "runtime.start(ServiceOrder(image, 'staging', Limits(256, 1.0, 64), Path(spool)))\n"
        "print('started', flush=True); time.sleep(60)\n"
    )
    home = str(runtime._settings.home)
    arguments = [home, str(recipe), json.dumps(image.as_json()), str(tmp_path / "spool")]
    starter = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=project_root,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "started\n"
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    (service,) = runtime.find("rides")
    assert runtime.state(service) == "running"
    report(runtime, service)


def test_stopping_waits_for_the_grace_period_and_then_kills(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    service = runtime.start(order(build(runtime, tmp_path), tmp_path, EVERGREEN_STUBBORN="1"))
    report(runtime, service)
    began = time.monotonic()
    runtime.stop(service, grace_s=0.3)
    assert time.monotonic() - began >= 0.3
    assert runtime.state(service) == "stopped"
    assert runtime.logs(service, lines=1), "the log outlives it"
    runtime.remove(service, grace_s=0)
    assert runtime.state(service) == "gone"
    runtime.remove(service, grace_s=0)


def test_a_pid_that_somebody_else_has_by_now_is_left_alone(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    image = build(runtime, tmp_path)
    service = runtime.start(order(image, tmp_path))
    report(runtime, service)
    (pid_file,) = Path(image.reference).glob("staging.pid")
    ours = json.loads(pid_file.read_text())
    runtime.stop(service, grace_s=2)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file.write_text(json.dumps({**ours, "pid": stranger.pid}))
        assert runtime.state(service) == "stopped"
        runtime.stop(service, grace_s=0.1)
        assert stranger.poll() is None, "a stranger's process was signalled"
        stranger.kill()


def test_a_restart_keeps_the_address(runtime: ProcessRuntime, tmp_path: Path) -> None:
    asked = order(build(runtime, tmp_path), tmp_path)
    first = runtime.start(asked)
    report(runtime, first)
    runtime.stop(first, grace_s=2)
    assert runtime.start(asked).endpoint == first.endpoint


def test_a_folder_that_was_changed_is_not_started(runtime: ProcessRuntime, tmp_path: Path) -> None:
    image = build(runtime, tmp_path)
    (Path(image.reference) / "bundle" / "manifest.json").write_text("{}")
    assert not runtime.has(image)
    with pytest.raises(ArtifactRefused, match="does not hold the bundle"):
        runtime.start(order(image, tmp_path))
    assert runtime.has(build(runtime, tmp_path)), "building again mends it"


def test_another_app_is_another_image(
    runtime: ProcessRuntime, recipe: Path, tmp_path: Path
) -> None:
    before = build(runtime, tmp_path)
    (recipe / "app.py").write_text(APP + "\n# changed\n")
    after = build(runtime, tmp_path)
    assert before.digest != after.digest
    assert runtime.has(before), "what is live keeps the files it runs on"
