"""Ports of 127.0.0.1: the usual one if nobody has it, else the next that is free."""

from __future__ import annotations

import socket

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


def first_free(usual: int) -> int:
    """`usual` or the first free port after it; the same on every call as long as nobody moves."""
    for port in range(usual, min(usual + SPAN, 65536)):
        if is_free(port):
            return port
    raise Unavailable(f"Ports {usual} to {usual + SPAN - 1} of {HOST} are all taken; free one.")
