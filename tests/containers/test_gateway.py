"""One address a model and environment, on 127.0.0.1 alone, whatever happens behind it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
import requests
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from tritonclient import http as triton

from include.evergreen import effects
from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime import Limits, ServiceOrder, gateway, gateway_routes
from include.evergreen.adapters.runtime.container_config import host_name
from include.evergreen.adapters.runtime.docker_images import ServingImages
from include.evergreen.adapters.runtime.docker_runtime import DockerRuntime
from include.evergreen.adapters.runtime.gateway_config import PLACES, SOCKET
from include.evergreen.adapters.runtime.gateway_place import Place, Seen
from include.evergreen.adapters.runtime.interface import INSTALLATION
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.effects import FailpointReached
from include.evergreen.errors import EvergreenError, Unavailable
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.deploy.service_probe import PROBE_HEADERS
from tests.containers.conftest import SPEC, remove_all, write_bundle

ROW = {"at": "2024-05-01T08:00:00+00:00", "temperature": 12.5, "weather": "mist"}
CONNECTIONS = 8


def runtime_at(engine: Any, home: Any, **environ: str) -> DockerRuntime:
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(home), **environ})
    return DockerRuntime(settings, engine, ServingImages(settings, engine))


@pytest.fixture
def runtime(engine: Any, tmp_path: Any) -> Iterator[DockerRuntime]:
    found = runtime_at(engine, tmp_path / "home")
    yield found
    remove_all(found)


@pytest.fixture(scope="module")
def built(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[BuiltImage]]:
    """Images of versions 1 and 2."""
    folder = tmp_path_factory.mktemp("gateway")
    builder = runtime_at(engine, folder / "home")
    found = []
    for version in (1, 2):
        bundle, key = folder / f"bundle-{version}", f"{version:064x}"
        digest = write_bundle(bundle, ModelSpec.model_validate(SPEC), version, key)
        found.append(
            builder.build(
                bundle, model="rides", version=version, manifest_digest=digest, training_key=key
            )
        )
    yield found
    for image in found:
        engine.remove_image(image.reference, force=True)


#: Where a start dies, in the order in which its steps are taken: what is there once is not made
#: again.
START_DIES_AT = (
    "open_place:before", "ensure_running:before", "gateway:before", "gateway:after",
    "ensure_inside:before", "create_network:before", "create_network:after",
    "ensure_inside:after", "ensure_outside:before", "create_network:after",
    "ensure_outside:after", "create_gateway:before", "write_config:before", "write_config:after",
    "create_gateway:after", "start_gateway:before", "join_network:before", "join_network:after",
    "start_gateway:after", "remember_ports:before", "remember_ports:after",
    "ensure_running:after", "take:before", "take:after", "open_place:after", "create:before",
    "create:after", "reach:before", "save:before", "save:after", "order:before", "order:after",
    "publish:before", "publish:after",
)  # fmt: skip
#: Where somebody dies who meets a gateway that is deaf, and who removes what nobody needs any more.
DEAF_DIES_AT = ("start_again:before", "start_again:after")
NETWORKS_DIE_AT = ("remove_network:before", "remove_network:after")


@contextlib.contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, point: str) -> Iterator[None]:
    """What is done meanwhile dies at this failpoint of the runtime, at the hit that it names."""
    with monkeypatch.context() as armed:
        armed.setattr(effects, "_passed", Counter())
        armed.setenv(effects.ARMED, f"runtime.{point}:raise")
        with pytest.raises(FailpointReached):
            yield


def die_at_each(
    monkeypatch: pytest.MonkeyPatch, points: Iterable[str], act: Callable[[], object]
) -> None:
    """Begin it anew for each failpoint, and die there."""
    for point in points:
        with dying(monkeypatch, point):
            act()


@dataclass(frozen=True)
class Shared:
    """A gateway and one published service, for tests that only ask."""

    runtime: DockerRuntime
    service: RunningService


@pytest.fixture(scope="module")
def shared(
    engine: Any, built: list[BuiltImage], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    found = runtime_at(engine, tmp_path_factory.mktemp("shared") / "home")
    yield Shared(found, found.publish(start(found, built[0])))
    remove_all(found)


def start(
    runtime: DockerRuntime, image: BuiltImage, environment: Any = "staging"
) -> RunningService:
    """The service, once it answers where candidates are proven."""
    spool = runtime._settings.spool_dir / image.model / f"v{image.version}-{environment}"
    limits = Limits(memory_mib=256, cpus=1.0, pids=64)
    service = runtime.start(ServiceOrder(image, environment, limits, spool))
    assert wait_for(lambda: version_at(runtime.reach(service))) == str(image.version)
    return service


def version_at(endpoint: str) -> str:
    """The version that answers at an address; '' where none does."""
    with contextlib.suppress(requests.RequestException):
        answer = requests.get(f"{endpoint}/version", headers=PROBE_HEADERS, timeout=5)
        if answer.ok:
            assert answer.headers["X-Model-Version"] == answer.json()["version"]
            return str(answer.json()["version"])
    return ""


def wait_for(look: Callable[[], Any], timeout_s: float = 180) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (seen := look()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
    return seen


class Crowd:
    """Keep-alive connections that ask without a pause; every answer is counted by its version."""

    def __init__(self, endpoint: str) -> None:
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self._address, self._done = urlsplit(endpoint), threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CONNECTIONS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        host, port = self._address.hostname or "", self._address.port
        connection = http.client.HTTPConnection(host, port, timeout=30)
        body = json.dumps({"dataframe_records": [ROW]})
        while not self._done.is_set():
            try:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", "/invocations", body, headers)
                answer = connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
            else:
                self.answers[answer.headers.get("X-Model-Version", "")] += 1
                if answer.status != 200:
                    self.lost.append(f"{answer.status}: {said[:200]!r}")
        connection.close()


def test_a_switch_of_versions_loses_no_request_of_eight_connections(
    runtime: DockerRuntime, built: list[BuiltImage]
) -> None:
    first = runtime.publish(start(runtime, built[0]))
    with Crowd(first.endpoint) as crowd:
        wait_for(lambda: crowd.answers["1"] > 50)
        second = start(runtime, built[1])
        assert second.endpoint == first.endpoint, "the address is the model's, not the version's"
        assert crowd.answers["2"] == 0, "a candidate that is being proven has no clients"
        assert not runtime.is_published(second)
        assert runtime.publish(second) == second
        before = crowd.answers["2"]
        runtime.remove(first, grace_s=10)
        wait_for(lambda: crowd.answers["2"] > before + 50)
    assert crowd.lost == []
    assert set(crowd.answers) == {"1", "2"}
    assert runtime.is_published(second)
    assert not runtime.is_published(first)
    assert runtime.publish(second) == second, "again is a no-op"


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_version_that_does_not_answer_takes_no_clients_from_one_that_does(
    runtime: DockerRuntime,
    built: list[BuiltImage],
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    monkeypatch.setattr(gateway_routes, "_RESOLVE_S", 3.0)
    first = runtime.publish(start(runtime, built[0]))
    second = start(runtime, built[1])
    getattr(engine, how)(second.service_id)
    wait_for(lambda: not any(seen.passed for seen in servers(runtime, second)))
    with pytest.raises(Unavailable, match="requests still go to the version before it"):
        runtime.publish(second)
    assert version_at(first.endpoint) == "1"
    runtime.remove(first, grace_s=1)
    answer = requests.get(f"{first.endpoint}/ping", timeout=5)
    assert (answer.status_code, answer.json()["error_code"]) == (503, "UNAVAILABLE")


def servers(runtime: DockerRuntime, service: RunningService) -> list[Seen]:
    """What the gateway says of the slots that a service has."""
    seen = runtime._routes._seen(1).values()
    return [server for server in seen if server.host == host_name(service.name)]


def test_a_death_between_file_and_order_switches_nobody_to_a_version_that_hangs(
    runtime: DockerRuntime,
    built: list[BuiltImage],
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway_routes, "_RESOLVE_S", 3.0)
    first = runtime.publish(start(runtime, built[0]))
    second = start(runtime, built[1])
    save = runtime._gateway.files.save

    def save_and_die(place: Place) -> None:
        save(place)
        if place.slots[str(place.slot_of(host_name(second.name)))].share:
            raise FailpointReached("between file and order")

    with monkeypatch.context() as dying:
        dying.setattr(runtime._gateway.files, "save", save_and_die)
        with pytest.raises(FailpointReached):
            runtime.publish(second)
    engine.pause(second.service_id)
    wait_for(lambda: not any(seen.passed for seen in servers(runtime, second)))
    with pytest.raises(Unavailable, match="requests still go to the version before it"):
        runtime.publish(second)
    assert version_at(first.endpoint) == "1"
    engine.unpause(second.service_id)
    assert version_at(runtime.publish(second).endpoint) == "2"


def test_a_gateway_that_is_deaf_is_restarted(
    runtime: DockerRuntime,
    built: list[BuiltImage],
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway, "_ANSWER_S", 2.0)
    service = runtime.publish(start(runtime, built[0]))
    before = runtime.way_to(service)
    (runtime._gateway.files.run / SOCKET).unlink()
    assert runtime.publish(service) == service
    assert version_at(service.endpoint) == "1"
    assert runtime.way_to(service) != before
    engine.pause(runtime._gateway.name)
    die_at_each(monkeypatch, DEAF_DIES_AT, lambda: runtime.publish(service))
    assert runtime.publish(service) == service
    assert version_at(service.endpoint) == "1"


def test_an_image_that_moved_shuts_nobodys_door(
    runtime: DockerRuntime, built: list[BuiltImage], engine: Any, tmp_path: Any
) -> None:
    service = runtime.publish(start(runtime, built[0]))
    before = runtime.way_to(service)
    later = runtime_at(engine, tmp_path / "home", EVERGREEN_GATEWAY_IMAGE="nobody/has:this")
    assert later.publish(service) == service
    assert later.way_to(service) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://evil.example", "Host": "evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Host": "evil.example:8080"}, 403),
        ({"Origin": "http://127.0.0.1:8080", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Host": "models.example"}, 200),  # a proxy of this machine that is no page
    ],
)
def test_a_page_of_another_site_may_not_ask(
    shared: Shared, headers: dict[str, str], status: int
) -> None:
    answer = requests.get(f"{shared.service.endpoint}/ping", headers=headers, timeout=5)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error_code"] == "FORBIDDEN"


def test_a_service_is_no_client_of_the_gateway(engine: Any, shared: Shared) -> None:
    """Not of its own model's address, and not of another's."""
    gateways = shared.runtime._gateway
    found = engine.inspect_container(gateways.name)["NetworkSettings"]["Networks"]
    inside = found[gateways.networks.inside_name]["IPAddress"]
    script = f"""
import urllib.request
for port in (8000, 8001, 8002):
    try:
        print(urllib.request.urlopen(f'http://{inside}:{{port}}/ping', timeout=4).status)
    except OSError as error:
        print(type(error).__name__)
"""
    made = engine.exec_create(shared.service.service_id, ["/opt/serving/bin/python", "-c", script])
    said = engine.exec_start(made["Id"]).decode().split()
    assert len(said) == 3
    assert not any(word.isdigit() for word in said), "no HTTP answer, not even a refusal"
    assert requests.get(f"{shared.service.endpoint}/ping", timeout=5).status_code == 200


def test_a_gateway_that_was_killed_comes_back_by_itself_and_knows_who_answers(
    runtime: DockerRuntime, built: list[BuiltImage], engine: Any
) -> None:
    staged = runtime.publish(start(runtime, built[0]))
    released = runtime.publish(start(runtime, built[1], "production"))
    assert staged.endpoint != released.endpoint
    name = runtime._gateway.name
    os.kill(engine.inspect_container(name)["State"]["Pid"], signal.SIGKILL)
    wait_for(lambda: engine.inspect_container(name)["RestartCount"])
    assert wait_for(lambda: version_at(staged.endpoint)) == "1"
    assert wait_for(lambda: version_at(released.endpoint)) == "2"


def test_a_gateway_that_was_removed_is_made_again_at_the_same_addresses(
    runtime: DockerRuntime, built: list[BuiltImage], engine: Any
) -> None:
    service = runtime.publish(start(runtime, built[0]))
    engine.remove_container(runtime._gateway.name, force=True)
    assert not runtime.is_published(service), "maintain sees that, and has it settled"
    assert runtime.publish(service) == service
    assert version_at(service.endpoint) == "1"


def test_containers_that_come_back_at_each_others_addresses_are_told_apart(
    runtime: DockerRuntime, built: list[BuiltImage], engine: Any
) -> None:
    staged = runtime.publish(start(runtime, built[0]))
    released = runtime.publish(start(runtime, built[1], "production"))
    before = [runtime._address(service)() for service in (staged, released)]
    for service in (staged, released):
        engine.stop(service.service_id, timeout=1)
    for service in (released, staged):
        engine.start(service.service_id)
    after = [runtime._address(service)() for service in (staged, released)]
    assert after == before[::-1], "they changed places: the case that this test is about"
    with Crowd(staged.endpoint) as crowd:
        wait_for(lambda: version_at(staged.endpoint) == "1")
        crowd.answers.clear()
        wait_for(lambda: version_at(released.endpoint) == "2")
        wait_for(lambda: crowd.answers["1"] > 20)
    assert crowd.answers["2"] == 0


def test_the_gateway_is_hardened_and_bound_to_this_machine_alone(
    shared: Shared, engine: Any
) -> None:
    runtime, service = shared.runtime, shared.service
    found = engine.inspect_container(runtime._gateway.name)
    host = found["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 128 * 2**20
    assert host["PidsLimit"] == 32
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    bound = [each for port in host["PortBindings"].values() for each in port]
    assert len(bound) == PLACES + 1, "and one for those who prove"
    assert {each["HostIp"] for each in bound} == {"127.0.0.1"}
    assert found["Config"]["User"].split(":")[0] not in ("", "0", "root")
    writable = [m["Destination"] for m in found["Mounts"] if m["RW"]]
    assert writable == ["/run/evergreen-gateway"]
    run = runtime._gateway.files.run
    assert (run.stat().st_mode & 0o777, (run / SOCKET).stat().st_mode & 0o777) == (0o700, 0o600)
    for path in ("/haproxy?stats", "/;csv", "/stats;csv", "/metrics/haproxy"):
        said = requests.get(f"{service.endpoint}{path}", timeout=5)
        assert "pxname" not in said.text, path
        assert "HAProxy" not in said.text, path


def test_public_clients_need_no_more_than_host_and_port(
    shared: Shared,
) -> None:
    service = shared.service
    address = urlsplit(service.endpoint)
    assert (address.hostname, address.path) == ("127.0.0.1", "")
    mlflows = ScoringServerClient("127.0.0.1", address.port)
    mlflows.wait_server_ready(timeout=10)
    (predicted,) = mlflows.invoke(pd.DataFrame([ROW])).get_predictions()[0]
    with triton.InferenceServerClient(f"127.0.0.1:{address.port}") as client:
        assert client.is_model_ready("rides", "1")
        inputs = [tensor(tell, client.get_model_metadata("rides")) for tell in ROW.items()]
        answer = client.infer("rides", inputs)
    assert answer.as_numpy("prediction").tolist() == [predicted]
    scraped = requests.get(f"{service.endpoint}/metrics", timeout=5).text
    counts = r'^evergreen_requests_total\{.*path="(\w+)".*\} [1-9]'
    counted = re.findall(counts, scraped, re.MULTILINE)
    assert {"invocations", "v2"} <= set(counted)


def test_a_client_that_says_it_is_a_prober_is_counted_as_a_client(shared: Shared) -> None:
    def counted() -> list[float]:
        page = requests.get(f"{shared.service.endpoint}/metrics", timeout=5).text
        names = ("requests", "probe_requests")
        pattern = r'^evergreen_{}_total\{{.*path="invocations",status="200".*\}} (\S+)$'
        found = [re.findall(pattern.format(name), page, re.MULTILINE) for name in names]
        return [float(number) for (number,) in found]

    body = {"dataframe_records": [ROW]}
    before = counted()
    for address in (shared.service.endpoint, shared.runtime.reach(shared.service)):
        headers = {**PROBE_HEADERS, "X-Request-Id": "theirs"}
        answer = requests.post(f"{address}/invocations", json=body, headers=headers, timeout=5)
        assert (answer.status_code, answer.headers["X-Request-Id"]) == (200, "theirs")
    assert [after - n for n, after in zip(before, counted(), strict=True)] == [1, 1]


def tensor(named: tuple[str, Any], about: dict[str, Any]) -> triton.InferInput:
    """A value as a tensor of one row, of the type that the model's own description names."""
    name, value = named
    datatype = next(one["datatype"] for one in about["inputs"] if one["name"] == name)
    made = triton.InferInput(name, [1], datatype)
    values = np.array([value], dtype=np.float64 if datatype == "FP64" else np.object_)
    made.set_data_from_numpy(values, binary_data=False)
    return made


def test_a_body_that_no_spec_allows_is_refused_by_the_gateway_itself(
    shared: Shared,
) -> None:
    address = urlsplit(shared.service.endpoint)
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=5)
    with contextlib.closing(connection):
        connection.putrequest("POST", "/invocations")
        connection.putheader("Content-Length", str(2**40))
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error_code"]) == (413, "TOO_LARGE")


def test_a_start_that_dies_at_any_step_of_the_gateway_is_finished_by_the_next(
    runtime: DockerRuntime, built: list[BuiltImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at_each(monkeypatch, START_DIES_AT, lambda: runtime.publish(start(runtime, built[0])))
    service = runtime.publish(start(runtime, built[0]))
    assert version_at(service.endpoint) == "1"
    assert len(runtime.find()) == 1
    assert set(runtime.networks().values())
    assert len(runtime._gateway.files.taken()) == 1


def test_two_who_start_at_once_share_one_gateway(
    runtime: DockerRuntime, built: list[BuiltImage], engine: Any, tmp_path: Any
) -> None:
    other = runtime_at(engine, tmp_path / "home")
    with ThreadPoolExecutor() as pool:
        both = [
            pool.submit(start, runtime, built[0], "staging"),
            pool.submit(start, other, built[1], "production"),
        ]
        staged, released = (runtime.publish(one.result()) for one in both)
    assert version_at(staged.endpoint) == "1"
    assert version_at(released.endpoint) == "2"
    label = f"{INSTALLATION}={runtime._installation}"
    assert len(engine.containers(all=True, filters={"label": label})) == 3
    for port in range(PLACES):
        assert runtime._gateway.address(port + 1)


def test_a_port_that_somebody_took_meanwhile_moves_the_addresses_and_says_so(
    runtime: DockerRuntime, built: list[BuiltImage], engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service = runtime.publish(start(runtime, built[0]))
    engine.remove_container(runtime._gateway.name, force=True)
    taken = urlsplit(service.endpoint).port
    assert taken
    with contextlib.closing(_listener("127.0.0.1", taken)):
        moved = runtime.publish(service)
    assert moved.endpoint != service.endpoint
    assert "every address of the gateway changes" in caplog.text
    assert version_at(moved.endpoint) == "1"
    assert runtime.find() == [moved]


def _listener(host: str, port: int) -> Any:
    import socket

    return socket.create_server((host, port))


def test_the_gateway_and_both_networks_stay_while_a_stopped_service_needs_them(
    runtime: DockerRuntime,
    built: list[BuiltImage],
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = runtime.publish(start(runtime, built[0]))
    names = set(runtime.networks())
    assert len(names) == 2
    runtime.stop(service, grace_s=5)
    assert engine.inspect_container(runtime._gateway.name)["State"]["Running"] is False, (
        "`make down` leaves nothing running"
    )
    assert {holds for _, holds in runtime.networks().values()} == {1}
    for name in names:
        with pytest.raises(EvergreenError, match="services are behind it"):
            runtime.remove_network(name)
    again = start(runtime, built[0])
    assert runtime.publish(again) == service
    runtime.remove(again, grace_s=1)
    assert {holds for _, holds in runtime.networks().values()} == {0}
    for name in names:
        for point in NETWORKS_DIE_AT:
            with dying(monkeypatch, point):
                runtime.remove_network(name)
    assert runtime.networks() == {}
    label = f"{INSTALLATION}={runtime._installation}"
    assert engine.containers(all=True, filters={"label": label}) == []


def test_without_an_image_for_the_gateway_nothing_starts_and_the_reason_is_said(
    engine: Any, built: list[BuiltImage], tmp_path: Any
) -> None:
    without = runtime_at(engine, tmp_path / "home", EVERGREEN_GATEWAY_IMAGE="nobody/has:this")
    with pytest.raises(Unavailable, match=r"No gateway image: .*EVERGREEN_GATEWAY_IMAGE names it"):
        without.prepare()
    with pytest.raises(Unavailable, match="No gateway image"):
        start(without, built[0])
    assert without.find() == []
    assert without.networks() == {}
