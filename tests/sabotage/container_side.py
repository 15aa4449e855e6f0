"""Saboteurs that got past the judge: registered versions that are bad only where they answer.

Each is deployed as any candidate is, beside a champion that a client asks all the time, and must
be stopped by the checks named for it. A lie is source that runs inside the service: the program
that answers is changed after it was built, and claims to be what was recorded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest import mock

import pytest
import requests
import yaml

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.ledger.records import DeploymentRecord
from include.evergreen.contracts import BuiltImage, Candidate, Check, Deployment
from include.evergreen.policy import acceptance, verification
from include.evergreen.spec import ModelSpec, load_spec
from include.evergreen.stages.deploy import load_probe, verify
from include.evergreen.stages.deploy.fetch_bundle import forget_bundles
from include.evergreen.stages.deploy.services import order_for
from include.evergreen.stages.resources import Resources
from tests.containers import conftest as containers
from tests.containers.conftest import House

MODEL = "rides"
ROW = {"at": "2024-03-05T08:00:00+00:00", "temperature": 12.5, "weather": "mist"}
#: A day is busier the warmer it is: 100 + 5 * temperature.
EXAMPLES = """\
cases:
  - name: a cold day is quiet
    given: {at: "2024-03-05T08:00:00+00:00", temperature: -5, weather: clear}
    expect: {between: [0, 125], below: a warm day is busy}
  - name: a warm day is busy
    given: {at: "2024-03-05T08:00:00+00:00", temperature: 24, weather: clear}
    expect: {between: [150, 300]}
"""
LEVELS = {"load_seconds": 0.3, "connections": 1, "p99_ms": 5000, "min_requests_per_s": 2}
#: Before a lie, in the program that answers: `answering(change)` lets every answer go through
#: `change(path, status, content)`.
_PRELUDE = '''
import json, os, sys, time
import honest
def answering(change):
    build = honest.build
    def lying(service):
        app = build(service)
        async def answer(scope, receive, send):
            begun = {}
            async def changed(message):
                if message["type"] != "http.response.body":
                    begun.update(message)
                    return
                status, content = change(scope["path"], begun["status"], message["body"])
                headers = [h for h in begun["headers"] if h[0].lower() != b"content-length"]
                headers.append((b"content-length", str(len(content)).encode()))
                await send({**begun, "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": content})
            await app(scope, receive, changed if scope["type"] == "http" else send)
        return answer
    honest.build = lying
def predicting(change):
    """Every list of predictions goes through `change`."""
    def predicted(path, status, content):
        if path != "/invocations" or status != 200:
            return status, content
        changed = change(json.loads(content)["predictions"])
        return status, json.dumps({"predictions": changed}).encode()
    answering(predicted)
'''
_MAIN = "\nif __name__ == '__main__':\n    sys.exit(honest.main())\n"

Bundle = Callable[[Path, ModelSpec, int, str], str]


@dataclass(frozen=True)
class Saboteur:
    """A bad version, and exactly the checks that must fail for it.

    `lie` is run inside the service; `bundle` writes a bundle as a dishonest training would;
    `deployment` are the fields of the spec under which it shows, and `seen` a part of what the
    first of the checks saw. One that never `listens` cannot get through whatever is left out.
    """

    name: str
    stopped_by: tuple[str, ...]
    lie: str = ""
    bundle: Bundle | None = None
    deployment: dict[str, Any] = field(default_factory=dict)
    seen: str = ""
    listens: bool = True


class Client:
    """Asks the champion all the time; `faults` is every answer that was not the champion's."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.answers = 0
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        first = ""
        with requests.Session() as session:
            session.trust_env = False
            while not self._over.wait(0.02):
                try:
                    answer = session.post(
                        f"{self._endpoint}/invocations",
                        json={"dataframe_records": [ROW]},
                        timeout=20,
                    )
                except requests.RequestException as error:
                    self.faults.append(repr(error))
                    continue
                seen = f"{answer.status_code} v{answer.headers.get('X-Model-Version')}"
                seen += f" {answer.text}"
                first = first or seen
                if seen != first or not seen.startswith("200 v1 "):
                    self.faults.append(seen)
                self.answers += 1

    def require_served(self, since: int) -> None:
        """Fail unless the champion, and nobody else, answered all the time."""
        deadline = time.monotonic() + 20
        while self.answers <= since and time.monotonic() < deadline:
            time.sleep(0.02)
        assert self.faults == []
        assert self.answers > since


@dataclass
class Scene:
    """An installation whose champion (v1) is live, and an honest candidate (v2)."""

    house: House
    champion: Deployment
    candidate: Candidate
    client: Client
    registered: dict[str, Candidate] = field(default_factory=dict)

    def under(self, **deployment: Any) -> House:
        """The installation, with fields of the spec's `deployment` replaced."""
        spec = self.house.resources.spec
        levels = {**LEVELS, **deployment.pop("service_levels", {})}
        changed = spec.deployment.model_dump() | deployment | {"service_levels": levels}
        section = type(spec.deployment).model_validate(changed)
        spec = spec.model_copy(update={"deployment": section})
        resources = Resources(spec, self.house.resources.settings)
        return House(resources, self.house.folder, self.house.built, self.house.now())

    def candidate_of(self, saboteur: Saboteur) -> Candidate:
        """The registered version of a saboteur: the honest one's, or one badly trained."""
        if saboteur.bundle is None:
            return self.candidate
        if saboteur.name not in self.registered:
            seed = 10 + len(self.registered)
            with mock.patch.object(containers, "write_bundle", saboteur.bundle):
                self.registered[saboteur.name] = self.house.register(seed)
        return self.registered[saboteur.name]

    def built(self, candidate: Candidate) -> BuiltImage:
        """The image of a version, as it was before anybody touched it."""
        image = self.house.build(candidate)
        shutil.rmtree(image.reference)
        return self.house.build(candidate)

    def attempt(self, saboteur: Saboteur) -> Any:
        """What comes of its verification; raises what stops it."""
        return self.under(**saboteur.deployment).verify(self.planted(saboteur))

    def planted(self, saboteur: Saboteur) -> BuiltImage:
        """The image of a saboteur, ready to be started."""
        image = self.built(self.candidate_of(saboteur))
        if saboteur.lie:
            plant(Path(image.reference) / "app", saboteur.lie)
        return image

    def started(self, saboteur: Saboteur, image: BuiltImage) -> None:
        """Start it, and wait until it listens: verification finds it by its name and goes on."""
        house = self.under(**saboteur.deployment)
        service = house.runtime.start(order_for(house.resources, image, "staging"))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                requests.get(f"{service.endpoint}/ping", timeout=5)
                return
            time.sleep(0.05)
        raise AssertionError(f"{saboteur.name} does not listen.")

    def leave(self, proven: Any) -> None:
        """A version that got through goes again; it was never promoted."""
        self.house.runtime.remove(proven.service, grace_s=1)
        for record in self.house.resources.ledger.deployments(MODEL, ["starting"]):
            self.house.resources.ledger.finish_deployment(
                record.id, "failed", "the test is over", (), self.house.now()
            )

    def newest(self) -> DeploymentRecord:
        return max(self.house.resources.ledger.deployments(MODEL), key=lambda record: record.id)


def plant(app: Path, lie: str) -> None:
    """Put a lie before the program that answers."""
    (app / "app.py").rename(app / "honest.py")
    (app / "app.py").write_text(_PRELUDE + lie + _MAIN)


@contextlib.contextmanager
def hollow(*names: str) -> Iterator[None]:
    """The checks of these names pass whatever they see."""
    with contextlib.ExitStack() as stack:
        for module in (verification, acceptance):
            for function in [name for name in vars(module) if name.startswith("check_")]:
                true = getattr(module, function)
                stack.enter_context(mock.patch.object(module, function, _hollowed(true, names)))
        yield


def _hollowed(check: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    def passes(seen: Check) -> Check:
        return dataclasses.replace(seen, passed=True) if seen.name in names else seen

    def hollowed(*arguments: Any, **named: Any) -> Any:
        seen = check(*arguments, **named)
        return passes(seen) if isinstance(seen, Check) else tuple(map(passes, seen))

    return hollowed


def forge(bundle: Path) -> str:
    """Make the manifest agree with the files, as a training that lies would; its digest."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"] = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(bundle.iterdir())
        if file != path
    }
    path.write_text(json.dumps(manifest))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextlib.contextmanager
def open_scene(
    folder: Path, runtime: str, settings: evergreen_settings.Settings
) -> Iterator[Scene]:
    """A served model, and what is deployed beside it; nothing of it is left afterwards."""
    document = json.loads(json.dumps(containers.SPEC))
    document["deployment"] |= {"runtime": runtime, "service_levels": LEVELS}
    document["deployment"]["acceptance"] = f"{MODEL}.acceptance.yaml"
    (folder / f"{MODEL}.acceptance.yaml").write_text(EXAMPLES)
    (folder / f"{MODEL}.yaml").write_text(yaml.safe_dump(document))
    house = House(Resources(load_spec(folder / f"{MODEL}.yaml"), settings), folder)
    with (
        mock.patch.object(verify, "LOAD_ROUNDS", 2),
        mock.patch.object(verify, "LOAD_PAUSE_S", 0.0),
        mock.patch.object(load_probe, "WARM_UP_S", 0.05),
    ):
        try:
            champion = house.deploy(1)
            candidate = house.register(2)
            with Client(champion.service.endpoint) as client:
                yield Scene(house, champion, candidate, client)
        finally:
            containers.remove_all(house.runtime)


@contextlib.contextmanager
def champion_serving(scene: Scene) -> Iterator[Scene]:
    """Meanwhile the champion, and nobody else, answers in staging, and stays there."""
    since = scene.client.answers
    yield scene
    scene.client.require_served(since)
    ledger, registry = scene.house.resources.ledger, scene.house.resources.registry
    (live,) = ledger.deployments(MODEL, ["live"])
    assert live.version == scene.champion.version
    assert registry.version_of(MODEL, "staging") == scene.champion.version
    left = [service.name for service in scene.house.runtime.find(MODEL)]
    assert left == [scene.champion.service.name], "nothing is left behind"
    forget_bundles(scene.house.resources)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A scene of plain processes: they start in a second, and their program can be changed."""
    folder = tmp_path_factory.mktemp("sabotage")
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(folder / "home")})
    with open_scene(folder, "process", settings) as opened:
        yield opened


@pytest.fixture
def served(scene: Scene) -> Iterator[Scene]:
    with champion_serving(scene):
        yield scene
