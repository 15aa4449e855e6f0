"""A TCP proxy on loopback that a test makes slow, deaf or rude while its clients are talking.

- `pass`: bytes go through as they come.
- `delay`: every piece waits before it goes on.
- `reset`: what is open is reset, and so is whoever connects.
- `blackhole`: connections are accepted and nothing is ever heard again, as behind a firewall that
  lost its state: what was said meanwhile is gone, and these connections stay mute for good.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Literal, Self, get_args

Mode = Literal["pass", "delay", "reset", "blackhole"]
MODES: tuple[Mode, ...] = get_args(Mode)
DELAY_S = 0.4
_PIECE = 65_536
_ROOT = Path(__file__).resolve().parents[3]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends RST


class Proxy:
    """Listens from the constructor on. `aim` says where to, once that is known."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._target: int | None = None
        self._mode: Mode = "pass"
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, name=f"proxy-{self.port}", daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def aim(self, port: int) -> None:
        self._target = port

    def become(self, mode: Mode) -> None:
        """Behave so from now on, towards what is open too."""
        with self._lock:
            self._mode = mode
            pairs = list(self._pairs)
        for pair in pairs:
            if mode == "reset":
                pair.reset()
            elif mode == "blackhole":
                pair.mute()

    @property
    def mode(self) -> Mode:
        return self._mode

    def close(self) -> None:
        self._listener.close()
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._mode == "reset" or self._target is None:
            _reset(client)
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=10)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        pair = _Pair(self, client, server)
        with self._lock:
            self._pairs.add(pair)
            muted = self._mode == "blackhole"
        if muted:
            pair.mute()
        back = threading.Thread(target=pair.carry, args=(server, client), daemon=True)
        back.start()
        pair.carry(client, server)
        back.join()
        pair.close()
        with self._lock:
            self._pairs.discard(pair)


class _Pair:
    """Two sockets, and whether what they say still arrives."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._muted = False

    def mute(self) -> None:
        self._muted = True

    def reset(self) -> None:
        _reset(self._client)
        _reset(self._server)

    def close(self) -> None:
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.close()

    def carry(self, source: socket.socket, sink: socket.socket) -> None:
        """Move bytes one way until one end is done. A mute pair swallows them, and the end too."""
        while True:
            try:
                piece = source.recv(_PIECE)
                if self._proxy.mode == "delay":
                    time.sleep(DELAY_S)
                if self._muted:
                    if not piece:
                        return
                    continue
                if not piece:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(piece)
            except OSError:
                _reset(source)
                _reset(sink)
                return


def _reset(end: socket.socket) -> None:
    """Close with RST, also where another thread is just reading from it."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        end.close()


class ProxyProcess:
    """A proxy in a process of its own.

    A library that reads while it holds the interpreter's lock would wait for ever for a proxy that
    lives in the same process.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.storm.proxy"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._tell(""))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def aim(self, port: int) -> None:
        self._tell(f"aim {port}")

    def become(self, mode: Mode) -> None:
        self._tell(f"become {mode}")

    def close(self) -> None:
        self._process.communicate(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, words: str) -> str:
        """Say a line, and wait until it was obeyed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if words:
            self._process.stdin.write(f"{words}\n")
            self._process.stdin.flush()
        return self._process.stdout.readline().strip()


def obey() -> None:
    """Be a proxy that does what stdin says, until it ends."""
    with Proxy() as proxy:
        sys.stdout.write(f"{proxy.port}\n")
        sys.stdout.flush()
        for line in sys.stdin:
            verb, word = line.split()
            if verb == "aim":
                proxy.aim(int(word))
            else:
                proxy.become(next(mode for mode in MODES if mode == word))
            sys.stdout.write("done\n")
            sys.stdout.flush()


if __name__ == "__main__":
    obey()
