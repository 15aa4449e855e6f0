"""What a running HAProxy says of a place, and the orders that make it agree with one. Pure."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping

from include.evergreen.adapters.runtime.gateway_config import (
    backend_name,
    certificate_path,
    words_path,
)
from include.evergreen.adapters.runtime.gateway_place import (
    SLOTS,
    Place,
    Running,
    Seen,
    Server,
)
from include.evergreen.effects import read

_PASSED = "3"  # srv_check_result: the last health check was answered with 200
_STOPPED = "0"  # srv_op_state: too many checks in a row were not
_FORCED_MAINT = 1  # the bit of srv_admin_state


@read
def commands(place: Place, running: Running) -> list[str]:
    """What makes the running process agree with a place; none where it does.

    The words come first: a door is shut before anybody is sent through it. Then who is to answer:
    there is no instant in which nobody has a share.
    """
    first = sorted(SLOTS, key=lambda slot: -place.slots.get(slot, Server("")).weight)
    servers = [
        command
        for slot in first
        for command in _slot_commands(place, slot, place.slots.get(slot), running.servers[slot])
    ]
    return _word_commands(place, running.words) + servers


@read
def read_servers(said: str, number: int) -> dict[str, Seen]:
    """By slot, from the answer to `show servers state`; {} where it names no such place."""
    lines = [line for line in said.splitlines() if line.strip()]
    heads = [line[2:].split(" ") for line in lines if line.startswith("# ")]
    rows = [dict(zip(heads[0], line.split(" "), strict=False)) for line in lines[1:] if heads]
    return {
        row["srv_name"]: Seen(
            row["srv_fqdn"],
            row["srv_addr"],
            int(row["srv_uweight"]),
            enabled=not int(row["srv_admin_state"]) & _FORCED_MAINT,
            passed=row["srv_check_result"] == _PASSED,
            up=row["srv_op_state"] != _STOPPED,
        )
        for row in rows
        if row.get("be_name") == backend_name(number)
    }


@read
def read_words(said: str) -> dict[str, str]:
    """From the answer to `show map`: lines of an address, a word and its value."""
    rows = [line.split() for line in said.splitlines() if line.startswith("0x")]
    return {word: value for _, word, value in rows}


@read
def read_tls(said: str, number: int) -> bool:
    """Whether the process was started with a certificate for a place, from `show ssl cert`."""
    return certificate_path(number) in said.splitlines()


@read
def fingerprint(pem: str) -> str:
    """Of the first certificate of a PEM text, as `show ssl cert` writes it."""
    head, tail = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    first = head + pem.partition(head)[2].partition(tail)[0] + tail
    der = ssl.PEM_cert_to_DER_cert(first)
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def _word_commands(place: Place, now: Mapping[str, str]) -> list[str]:
    where = words_path(place.number)
    wanted = place.words
    changed = [
        f"{'set' if word in now else 'add'} map {where} {word} {value}"
        for word, value in sorted(wanted.items())
        if now.get(word) != value
    ]
    return changed + [f"del map {where} {word}" for word in sorted(now) if word not in wanted]


def _slot_commands(place: Place, slot: str, wanted: Server | None, seen: Seen) -> list[str]:
    what = f"set server {backend_name(place.number)}/{slot}"
    asked = wanted.weight if wanted else 0  # one that is away has no share either
    weight = [f"{what} weight {asked}"] if seen.weight != asked else []
    if wanted is None:
        return [*weight, *([f"{what} state maint"] if seen.enabled else [])]
    if seen.host == wanted.host:
        return weight + ([] if seen.enabled else [f"{what} state ready"])
    named = [f"{what} state maint", f"{what} fqdn {wanted.host}"]
    return [*named, *weight, f"{what} state ready"]
