"""The proxy does to real sockets what its modes say."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.storm.proxy import DELAY_S, ProxyProcess


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says back what it hears."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    def answer(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while piece := client.recv(1000):
                client.sendall(piece)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[ProxyProcess]:
    with ProxyProcess() as opened:
        opened.aim(echo)
        yield opened


def connect(proxy: ProxyProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=2)


def say(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return client.recv(1000)


def is_reset(client: socket.socket) -> bool:
    try:
        return say(client, b"again") == b""
    except ConnectionError:
        return True


def test_bytes_pass(proxy: ProxyProcess) -> None:
    with connect(proxy) as client:
        assert say(client, b"hello") == b"hello"


def test_a_delay_holds_both_ways(proxy: ProxyProcess) -> None:
    proxy.become("delay")
    with connect(proxy) as client:
        began = time.monotonic()
        assert say(client, b"hello") == b"hello"
        assert time.monotonic() - began >= 2 * DELAY_S


def test_a_reset_ends_what_is_open_and_what_comes(proxy: ProxyProcess) -> None:
    with connect(proxy) as client:
        say(client, b"hello")
        proxy.become("reset")
        assert is_reset(client)
    with connect(proxy) as later:
        assert is_reset(later)
    proxy.become("pass")
    with connect(proxy) as client:
        assert say(client, b"hello") == b"hello"


def test_a_blackhole_swallows_and_its_connections_stay_mute(proxy: ProxyProcess) -> None:
    with connect(proxy) as old:
        say(old, b"hello")
        proxy.become("blackhole")
        with connect(proxy) as caught:
            for client in (old, caught):
                client.settimeout(0.5)
                with pytest.raises(TimeoutError):
                    say(client, b"lost")
            proxy.become("pass")
            with pytest.raises(TimeoutError):
                say(caught, b"still lost")
            with connect(proxy) as new:
                assert say(new, b"hello") == b"hello"
