"""What a release needs of the gateway: divided requests, a spare, a door, and a way to each."""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from include.evergreen.adapters.runtime import PATIENCE_S, DoorSettings, Traffic
from include.evergreen.adapters.runtime.docker_runtime import DockerRuntime
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.deploy.service_probe import ServiceProbe
from tests.containers.conftest import SPEC, remove_all, write_bundle
from tests.containers.test_gateway import (
    Crowd,
    die_at_each,
    dying,
    runtime_at,
    start,
    version_at,
    wait_for,
)

TOKEN = "a-token-that-nobody-guesses"
#: Where a change of what clients meet dies: shares, a door with TLS, its certificate, none.
SPLIT_DIES_AT = ("split:before", "save:after:2", "order:before:2", "order:after:2", "split:after")
TLS_DIES_AT = (
    "guard:before",
    "save_certificate:before",
    "save_certificate:after",
    "restart:before",
)
RENEWAL_DIES_AT = ("change_certificate:before", "change_certificate:after")
OPENING_DIES_AT = ("restart:after", "guard:after")


@dataclass
class Stage:
    """One gateway, and two versions that answer in production."""

    runtime: DockerRuntime
    images: list[BuiltImage]
    old: RunningService
    new: RunningService

    @property
    def endpoint(self) -> str:
        return self.runtime._routes.endpoint("rides", "production")

    def revive(self) -> None:
        """Both run and are well, and the old one has all the clients."""
        self.old, self.new = (start(self.runtime, each, "production") for each in self.images)
        self.runtime.publish(self.old)


@pytest.fixture(scope="module")
def opened(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("gateway-release")
    runtime = runtime_at(engine, folder / "home")
    images = []
    for version in (1, 2):
        bundle, key = folder / f"bundle-{version}", f"{version:064x}"
        digest = write_bundle(bundle, ModelSpec.model_validate(SPEC), version, key)
        images.append(
            runtime.build(
                bundle, model="rides", version=version, manifest_digest=digest, training_key=key
            )
        )
    old, new = (start(runtime, image, "production") for image in images)
    yield Stage(runtime, images, old, new)
    remove_all(runtime)
    for image in images:
        engine.remove_image(image.reference, force=True)


@pytest.fixture
def stage(opened: Stage) -> Stage:
    opened.revive()
    return opened


def answers(endpoint: str, n: int, headers: Callable[[int], dict[str, str]]) -> list[str]:
    with requests.Session() as session:
        found = [
            session.get(f"{endpoint}/version", headers=headers(i), timeout=5) for i in range(n)
        ]
    return [answer.headers["X-Model-Version"] for answer in found]


def test_a_canary_gets_its_share_and_loses_nothing_when_it_grows_ends_and_is_left(
    stage: Stage, engine: Any
) -> None:
    runtime, old, new = stage.runtime, stage.old, stage.new
    with Crowd(stage.endpoint) as crowd:
        wait_for(lambda: crowd.answers["1"] > 20)
        assert crowd.answers["2"] == 0
        runtime.split({old: 0.9, new: 0.1})
        assert runtime.traffic("rides", "production") == Traffic({old.name: 0.9, new.name: 0.1})
        assert runtime.is_published(old)
        assert runtime.is_published(new)
        crowd.answers.clear()
        wait_for(lambda: sum(crowd.answers.values()) > 400)
        share = crowd.answers["2"] / sum(crowd.answers.values())
        assert 0.05 < share < 0.16
        runtime.split({old: 0.5, new: 0.5})
        runtime.publish(new, spare=old)
        assert runtime.traffic("rides", "production") == Traffic({new.name: 1.0}, spare=old.name)
        assert not runtime.is_published(old)

        def only_the_new_one() -> bool:
            crowd.answers.clear()
            wait_for(lambda: crowd.answers["2"] > 50)
            return set(crowd.answers) == {"2"}

        wait_for(only_the_new_one)  # once what the old one had begun is answered
    assert crowd.lost == []


def test_a_gateway_killed_in_a_canary_comes_back_with_the_same_shares_and_keys(
    stage: Stage, engine: Any
) -> None:
    runtime, old, new = stage.runtime, stage.old, stage.new

    def key(i: int) -> dict[str, str]:
        return {"X-Request-Key": f"hour-{i}"}

    runtime.split({old: 0.8, new: 0.2}, sticky=True)
    before = answers(stage.endpoint, 300, key)
    assert 0.1 < Counter(before)["2"] / 300 < 0.3
    assert answers(stage.endpoint, 300, key) == before
    name = runtime._gateway.name
    os.kill(engine.inspect_container(name)["State"]["Pid"], signal.SIGKILL)
    wait_for(lambda: engine.inspect_container(name)["RestartCount"])
    wait_for(lambda: version_at(stage.endpoint))
    wait_for(lambda: all(version_at(runtime.reach(service)) for service in (old, new)))
    assert runtime.traffic("rides", "production") == Traffic(
        {old.name: 0.8, new.name: 0.2}, sticky=True
    )
    assert answers(stage.endpoint, 300, key) == before
    runtime.split({old: 0.5, new: 0.5}, sticky=True)
    after = answers(stage.endpoint, 300, key)
    assert not any(b == "2" and a == "1" for b, a in zip(before, after, strict=True)), (
        "a share that grows gives no key away"
    )
    assert 0.4 < Counter(after)["2"] / 300 < 0.6
    runtime.split({old: 0.5, new: 0.5})
    assert len(set(answers(stage.endpoint, 40, lambda _: key(1)))) == 2, "not sticky: by chance"


@pytest.mark.parametrize("how", ["kill", "hang", "remove"])
@pytest.mark.parametrize("spare", [True, False], ids=["spare", "alone"])
def test_a_version_that_ends_or_hangs_is_stood_in_for_by_its_spare(
    stage: Stage, engine: Any, how: str, spare: bool
) -> None:
    runtime, old, new = stage.runtime, stage.old, stage.new
    # Who is killed is not waited for, so the spare may take its time on a busy machine.
    patience_s = 1.0 if how == "hang" else PATIENCE_S
    runtime.publish(new, spare=old if spare else None, patience_s=patience_s)
    pid = engine.inspect_container(new.service_id)["State"]["Pid"]
    with Crowd(stage.endpoint) as crowd:
        wait_for(lambda: crowd.answers["2"] > 20)
        if how == "remove":
            engine.remove_container(new.service_id, force=True)
        else:
            os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGSTOP)
        if spare:
            wait_for(lambda: crowd.answers["1"] > 20)
            wait_for(lambda: runtime.is_silent(new))
            assert not runtime.is_silent(old)
        elif how == "hang":
            time.sleep(3)  # longer than its patience, and than three checks of its health
        else:
            wait_for(lambda: crowd.lost)
        if how == "hang":
            os.kill(pid, signal.SIGCONT)
            wait_for(lambda seen=crowd.answers["2"]: crowd.answers["2"] > seen + 20)
            assert not runtime.is_silent(new)
    if spare:
        assert crowd.lost == []
    elif how == "hang":
        assert crowd.lost == [], "it was only late"


def test_each_version_is_reached_by_itself_while_clients_are_divided(stage: Stage) -> None:
    runtime, old, new = stage.runtime, stage.old, stage.new
    runtime.split({old: 0.5, new: 0.5})

    def ask(service: RunningService, version: str) -> set[str]:
        with ServiceProbe(runtime.reach(service)) as probe:
            return {str(probe.get("/version")[1]["version"]) for _ in range(50)} - {version}

    with ThreadPoolExecutor() as pool:
        wrong = [pool.submit(ask, service, v) for service, v in ((old, "1"), (new, "2"))]
        assert [each.result() for each in wrong] == [set(), set()]
    scraped = requests.get(f"{runtime.reach(new)}/metrics", timeout=5)
    assert "evergreen_requests_total" in scraped.text
    base, secret, number, slot = runtime.reach(new).rsplit("/", 3)
    assert slot in ("s1", "s2")
    for path in (f"/x/{number}/{slot}", f"/{secret}/17/{slot}", f"/{secret}/{number}/s9", ""):
        assert requests.get(f"{base}{path}/version", timeout=5).status_code == 404, path
    assert requests.get(f"{stage.endpoint}/{secret}/{number}/s1/ping", timeout=5).status_code == 404


def test_a_split_that_dies_before_the_order_is_made_good_by_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, old, new = stage.runtime, stage.old, stage.new
    for point in SPLIT_DIES_AT:
        with dying(monkeypatch, point):
            runtime.split({old: 0.5, new: 0.5})
        runtime.split({old: 0.5, new: 0.5})
        assert runtime.traffic("rides", "production").shares == {old.name: 0.5, new.name: 0.5}
        runtime.publish(old)
    assert runtime.traffic("rides", "production") == Traffic({old.name: 1.0})


def certificate(name: str) -> str:
    """A PEM text with a key: self-signed, for `name` and 127.0.0.1, for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (made.public_bytes(serialization.Encoding.PEM) + private).decode()


def test_a_door_lets_in_who_shows_the_token_over_tls_and_those_who_prove(
    stage: Stage, engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, old = stage.runtime, stage.old
    plain = stage.endpoint
    with Crowd(plain) as crowd:
        wait_for(lambda: crowd.answers["1"] > 20)
        runtime.guard("rides", "production", DoorSettings())  # none, as it was
        assert runtime.is_guarded("rides", "production", DoorSettings())
        assert crowd.lost == []
    runtime.guard("rides", "production", DoorSettings(token=TOKEN))
    shown = {"Authorization": f"Bearer {TOKEN}"}
    assert runtime.is_guarded("rides", "production", DoorSettings(token=TOKEN))
    for other in (DoorSettings(), DoorSettings(token=f"{TOKEN}s"), DoorSettings("a pem", TOKEN)):
        assert not runtime.is_guarded("rides", "production", other)
    refused = requests.get(f"{plain}/ping", timeout=5)
    assert (refused.status_code, refused.json()["error_code"]) == (401, "UNAUTHENTICATED")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    for wrong in ("Bearer nothing", f"Basic {TOKEN}", TOKEN, "Bearer", f"Bearer {TOKEN} "[:-2]):
        said = requests.get(f"{plain}/ping", headers={"Authorization": wrong}, timeout=5)
        assert said.status_code == 401, wrong
    assert requests.get(f"{plain}/ping", headers=shown, timeout=5).ok
    assert version_at(runtime.reach(old)) == "1", "who proves it is let in"

    pem = certificate("first.example")
    guard = functools.partial(runtime.guard, "rides", "production")
    die_at_each(monkeypatch, TLS_DIES_AT, lambda: guard(DoorSettings(pem, TOKEN)))
    runtime.publish(old)  # whoever comes next finishes what the files say
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{plain}/ping", headers=shown, timeout=5)
    runtime.guard("rides", "production", DoorSettings(pem, TOKEN))
    assert stage.endpoint == plain.replace("http:", "https:")
    assert runtime.publish(old).endpoint == stage.endpoint
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(pem.partition("-----BEGIN PRIVATE")[0])

    def ask(**headers: str) -> int:
        url, verify = f"{stage.endpoint}/ping", str(trusted)
        return requests.get(url, headers=headers, verify=verify, timeout=5).status_code

    wait_for(lambda: version_at(runtime.reach(old)) == "1")
    assert (ask(**shown), ask()) == (200, 401)

    before = runtime.way_to(old)
    renewed = certificate("second.example")
    assert not runtime.is_guarded("rides", "production", DoorSettings(renewed, TOKEN))
    die_at_each(monkeypatch, RENEWAL_DIES_AT, lambda: guard(DoorSettings(renewed, TOKEN)))
    runtime.guard("rides", "production", DoorSettings(renewed, TOKEN))
    trusted.write_text(renewed.partition("-----BEGIN PRIVATE")[0])
    assert ask(**shown) == 200
    assert runtime.is_guarded("rides", "production", DoorSettings(renewed, TOKEN))
    assert runtime.way_to(old) == before, "another certificate costs nobody a connection"
    _require_secret(engine, runtime, renewed)
    engine.restart(runtime._gateway.name, timeout=1)
    wait_for(lambda: version_at(runtime.reach(old)) == "1")
    assert (ask(**shown), ask()) == (200, 401), "the files remember the door"
    die_at_each(monkeypatch, OPENING_DIES_AT, lambda: guard(DoorSettings()))
    runtime.guard("rides", "production", DoorSettings())
    assert stage.endpoint == plain
    wait_for(lambda: version_at(plain) == "1")


def _require_secret(engine: Any, runtime: DockerRuntime, pem: str) -> None:
    """Neither token nor key is where anybody but its owner could read it."""
    name = runtime._gateway.name
    key = pem.partition("-----BEGIN PRIVATE KEY-----")[2].strip().splitlines()[0]
    said = str(engine.inspect_container(name)) + str(engine.top(name)) + str(engine.logs(name))
    assert TOKEN not in said
    assert key not in said
    folder = runtime._gateway.files.config.parent
    for path in (each for each in folder.rglob("*") if each.is_file()):
        text = path.read_text()
        assert TOKEN not in text, path
        if key in text or path.suffix in (".map", ".json", ".pem", ".lst"):
            assert path.stat().st_mode & 0o077 == 0, path
