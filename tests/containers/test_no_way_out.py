"""What a service cannot reach, tried from inside; and that the same try succeeds elsewhere."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from include.evergreen.adapters.runtime.docker_runtime import DockerRuntime
from include.evergreen.adapters.runtime.interface import INSTALLATION
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.errors import EvergreenError
from tests.containers.conftest import remove_all
from tests.containers.test_gateway import built, runtime, runtime_at, start, version_at

__all__ = ["built", "runtime"]  # fixtures

PYTHON = "/opt/serving/bin/python"
TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def attempt(target):
    try:
        socket.create_connection(tuple(target), 4).close()
    except OSError as error:
        return None
    return target[0]
targets = json.loads(sys.argv[1])
with ThreadPoolExecutor(16) as pool:
    print(json.dumps([t for t in pool.map(attempt, targets) if t]))
"""


def reached(engine: Any, container: str, targets: list[tuple[str, int]]) -> list[str]:
    """Those of the targets that a process in the container can connect to."""
    made = engine.exec_create(container, [PYTHON, "-c", TRY, json.dumps(targets)])
    return list(json.loads(engine.exec_start(made["Id"])))


@pytest.fixture
def listening() -> Iterator[int]:
    """A port of this machine that is open to everybody."""
    with socket.create_server(("0.0.0.0", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def stranger(engine: Any, built: list[BuiltImage]) -> Iterator[str]:
    """Somebody else's container on the engine's own network, listening as a service does."""
    made = engine.create_container(
        built[0].digest,
        ["-m", "http.server", "8080"],
        entrypoint=[PYTHON],
        host_config=engine.create_host_config(tmpfs={"/tmp": ""}),
    )["Id"]
    engine.start(made)
    yield made
    engine.remove_container(made, force=True)


def addresses_of_this_machine(engine: Any, service: RunningService) -> list[str]:
    """Every IPv4 address of this machine, and the one the service takes for its way out."""
    found = {
        address.address
        for each in psutil.net_if_addrs().values()
        for address in each
        if address.family == socket.AF_INET and not address.address.startswith("127.")
    }
    networks = engine.inspect_container(service.service_id)["NetworkSettings"]["Networks"]
    for network in networks.values():
        config = engine.inspect_network(network["NetworkID"])["IPAM"]["Config"]
        found |= {each["Gateway"].split("/")[0] for each in config if each.get("Gateway")}
    return sorted(found)


def test_a_service_reaches_neither_this_machine_nor_strangers_nor_the_world(
    engine: Any, runtime: DockerRuntime, built: list[BuiltImage], listening: int, stranger: str
) -> None:
    service = runtime.publish(start(runtime, built[0]))
    here = [(address, listening) for address in addresses_of_this_machine(engine, service)]
    assert here
    strangers = engine.inspect_container(stranger)["NetworkSettings"]["IPAddress"]
    world = [("1.1.1.1", 443), ("8.8.8.8", 53)]
    targets = [*here, (strangers, 8080), *world]
    assert reached(engine, service.service_id, targets) == []
    assert reached(engine, stranger, here), "the same try from a container that may"
    assert reached(engine, service.service_id, [("127.0.0.1", 8080)]), "and to itself"


def test_no_name_server_is_asked_on_behalf_of_a_service(
    engine: Any, runtime: DockerRuntime, built: list[BuiltImage]
) -> None:
    service = start(runtime, built[0])
    host = engine.inspect_container(service.service_id)["HostConfig"]
    assert host["Dns"] == ["127.0.0.1"], "the engine forwards to nobody but the service itself"
    script = "import socket; print(socket.getaddrinfo('example.com', 443))"
    made = engine.exec_create(service.service_id, [PYTHON, "-c", script])
    assert "gaierror" in engine.exec_start(made["Id"]).decode()


def test_two_installations_on_one_engine_do_not_meet(
    engine: Any, runtime: DockerRuntime, built: list[BuiltImage], tmp_path: Any
) -> None:
    mine = runtime.publish(start(runtime, built[0]))
    neighbour = runtime_at(engine, tmp_path / "other")
    try:
        theirs = neighbour.publish(start(neighbour, built[1]))
        assert theirs.endpoint != mine.endpoint
        assert (version_at(mine.endpoint), version_at(theirs.endpoint)) == ("1", "2")
        gateway = engine.inspect_container(neighbour._gateway.name)["NetworkSettings"]["Networks"]
        targets = [(neighbour._address(theirs)(), 8080)]
        targets += [(each["IPAddress"], 8001) for each in gateway.values()]
        assert reached(engine, mine.service_id, targets) == []
        assert reached(engine, theirs.service_id, targets), "their own can be reached by theirs"
        assert set(runtime.networks()).isdisjoint(neighbour.networks())
    finally:
        remove_all(neighbour)
    assert version_at(mine.endpoint) == "1", "and what one removes, the other does not miss"


def test_a_network_of_somebody_else_with_our_name_is_refused(
    engine: Any, runtime: DockerRuntime, built: list[BuiltImage]
) -> None:
    name = runtime._gateway.networks.inside_name
    theirs = engine.create_network(name, internal=True, labels={INSTALLATION: "somebody"})["Id"]
    try:
        with pytest.raises(EvergreenError, match="that this installation did not make"):
            start(runtime, built[0])
        assert runtime.find() == []
        runtime.remove_network(name)
        assert engine.networks(ids=[theirs]), "nor removed"
    finally:
        engine.remove_network(theirs)


def test_a_network_of_ours_that_lets_out_is_refused(
    engine: Any, runtime: DockerRuntime, built: list[BuiltImage]
) -> None:
    name = runtime._gateway.networks.inside_name
    made = engine.create_network(name, labels={INSTALLATION: runtime._installation})["Id"]
    try:
        with pytest.raises(EvergreenError, match="is not internal"):
            start(runtime, built[0])
        assert runtime.find() == []
    finally:
        engine.remove_network(made)
