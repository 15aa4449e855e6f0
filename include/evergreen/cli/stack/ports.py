"""Ports of 127.0.0.1: the usual one if nobody has it, else the next that is free.

A server listens only many seconds after its port was chosen. Until then a lock keeps another stack
of the same user from choosing it too.
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import TextIO

import psutil

from include.evergreen.cli.stack import locks
from include.evergreen.errors import Unavailable

HOST = "127.0.0.1"
SPAN = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now, for this machine or for all addresses."""
    for host in (HOST, "0.0.0.0"):  # noqa: S104 - probed, never served
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def reserve(usual: int, folder: Path | None = None) -> tuple[int, TextIO]:
    """`usual` or the first free port after it, and the lock that reserves it until it is closed."""
    folder = folder or Path(tempfile.gettempdir(), f"evergreen-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for port in range(usual, min(usual + SPAN, 65536)):
        lock = locks.take(folder / f"{port}.lock")
        if lock is not None and is_free(port):
            return port, lock
        if lock is not None:
            lock.close()
    raise Unavailable(f"Ports {usual} to {usual + SPAN - 1} of {HOST} are all taken; free one.")


def listens(pid: int, port: int) -> bool:
    """Whether this process, or one that descends from it, is who listens on the port."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for member in family
            for connection in member.net_connections(kind="tcp")
        )
    except psutil.NoSuchProcess:
        return False
