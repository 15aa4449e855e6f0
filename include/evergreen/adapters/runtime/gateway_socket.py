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
        asked = "; ".join(_without_secrets(command) for command in commands)
        raise Unavailable(f"The gateway refused to {asked}: {refused[0]}")


@effect
def change_certificate(folder: Path, path: str, pem: str) -> None:
    """Have a certificate shown from the next connection on, instead of the one of that name.

    Raises:
        Unavailable: the running process does not take it.
    """
    lines = "\n".join(line for line in pem.splitlines() if line.strip())
    said = ask(folder, f"set ssl cert {path} <<\n{lines}\n")
    said += ask(folder, f"commit ssl cert {path}")
    if "Success" not in said:
        raise Unavailable(f"The gateway did not take the certificate {path}: {said.strip()[-200:]}")


def _send(folder: Path, commands: Sequence[str]) -> str:
    return ask(folder, ";".join(commands))


def _without_secrets(command: str) -> str:
    """What may be said of a command: the digest of a token is nobody's business."""
    head, token, _ = command.partition(" token ")
    return f"{head}{token}..." if token else command


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
