"""Speaks with the gateway's HAProxy over the socket in the installation's own folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from include.evergreen.adapters.runtime.gateway_config import SOCKET
from include.evergreen.effects import effect
from include.evergreen.errors import Unavailable

_TIMEOUT_S = 5.0
_QUIET = ("changed its fqdn", "no need to change")


def ask(folder: Path, command: str) -> str:
    """The answer to one command, or to several in one line (`;`), which are carried out together.

    Raises:
        Unavailable: nothing listens, or it does not answer in time.
    """
    try:
        return _exchange(folder, command)
    except OSError as error:
        raise Unavailable(
            f"The gateway does not answer at {folder / SOCKET}: {error}. It is tried again; its "
            "container's log says more (docker logs, with the label evergreen.gateway)."
        ) from error


@effect
def order(folder: Path, commands: Sequence[str]) -> None:
    """Have commands carried out together.

    Raises:
        Unavailable: one of them was refused.
    """
    if not commands:
        return
    said = _send(folder, commands)
    refused = [line for line in said.splitlines() if line.strip() and not _is_quiet(line)]
    if refused:
        raise Unavailable(f"The gateway refused to {'; '.join(commands)}: {refused[0]}")


def _send(folder: Path, commands: Sequence[str]) -> str:
    return ask(folder, ";".join(commands))


def _is_quiet(line: str) -> bool:
    return any(words in line.lower() for words in _QUIET)


def _exchange(folder: Path, command: str) -> str:
    """A socket's path may have 108 bytes; through the open folder every path is short."""
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(_TIMEOUT_S)
            line.connect(f"/proc/self/fd/{opened}/{SOCKET}")
            line.sendall(command.encode() + b"\n")
            said = b""
            while part := line.recv(65_536):
                said += part
    finally:
        os.close(opened)
    return said.decode(errors="replace")
