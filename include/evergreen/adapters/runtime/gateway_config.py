"""What the gateway's HAProxy is told: places in, configuration and commands out. Pure.

A place is one stable address, for one model in one environment. All places stand in the
configuration from the start, taken or not, each with a few servers without a name: to give a
server a name or a weight is a command to the running process, and none of it needs a reload.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from include.evergreen.adapters.runtime.container_config import PORT
from include.evergreen.adapters.runtime.interface import PROBE_HEADER
from include.evergreen.effects import read

PLACES = 16  # published ports cannot be added later, and each costs the engine a process
SLOTS = ("s1", "s2", "s3")  # what answers, what is to answer, and one that is still being left
CANDIDATE = "candidate"  # the slot behind CANDIDATE_PATH
CANDIDATE_PATH = "/~candidate"
FIRST_PORT = 8001  # inside the container; place n listens on FIRST_PORT + n - 1
FULL_WEIGHT = 100
CONFIG_DIR, RUN_DIR = "/etc/evergreen-gateway", "/run/evergreen-gateway"
SOCKET = "admin.sock"
_INSIDE = "SERVICES"
_MAX_CONNECTIONS = 500  # of one place, so that no model takes the gateway from the others
_NOBODY = "localhost"  # a server needs a name; one that is disabled is never asked
_MAX_BODY_BYTES = 2**30  # the most that a spec may allow; the service itself knows its own limit
_PASSED = "3"  # srv_check_result: the last health check was answered with 200
_FORCED_MAINT = 1  # the bit of srv_admin_state
_LIVE, _TRIED = "live", "tried"


@dataclass(frozen=True)
class Server:
    """A service behind a place: its name on the network, and its share of the requests."""

    host: str
    weight: int = 0


@dataclass(frozen=True)
class Place:
    """Who answers at one address. `slots` holds the servers that are taken."""

    number: int
    model: str
    environment: str
    slots: Mapping[str, Server] = field(default_factory=dict)

    @read
    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    @read
    def from_json(cls, document: Mapping[str, Any]) -> Place:
        slots = {name: Server(**server) for name, server in document["slots"].items()}
        return cls(document["number"], document["model"], document["environment"], slots)

    @read
    def slot_of(self, host: str) -> str | None:
        """Where a service stands among those that clients may be sent to."""
        return next((name for name in SLOTS if self._host(name) == host), None)

    @read
    def with_candidate(self, host: str) -> Place:
        return self._with({**self.slots, CANDIDATE: Server(host, FULL_WEIGHT)})

    @read
    def beside(self, host: str) -> Place:
        """With the service in a slot of its own and no request sent to it yet.

        Where every slot is taken, the one that has been left for longest is given up.
        """
        if self.slot_of(host) is not None:
            return self
        free = [name for name in SLOTS if name not in self.slots]
        left = [name for name in SLOTS if name in self.slots and not self.slots[name].weight]
        return self._with({**self.slots, (free + left + list(SLOTS))[0]: Server(host)})

    @read
    def sent_to(self, host: str) -> Place:
        """With all requests sent to this service, which has a slot; those it replaces are left."""
        slots = {
            name: dataclasses.replace(server, weight=FULL_WEIGHT if server.host == host else 0)
            for name, server in self.slots.items()
            if name in SLOTS
        }
        return self._with({**self.slots, **slots})

    @read
    def as_seen(self, seen: Mapping[str, Seen]) -> Place:
        """With the weights that the running process has: after a death between file and order the
        file says who was to answer, and the process who does.
        """
        slots = {
            name: dataclasses.replace(server, weight=seen[name].weight if seen[name].enabled else 0)
            if name in SLOTS and seen[name].host == server.host
            else server
            for name, server in self.slots.items()
        }
        return self._with(slots)

    @read
    def without(self, host: str) -> Place:
        return self._with({n: server for n, server in self.slots.items() if server.host != host})

    def _with(self, slots: Mapping[str, Server]) -> Place:
        return dataclasses.replace(self, slots=dict(sorted(slots.items())))

    def _host(self, slot: str) -> str:
        return self.slots[slot].host if slot in self.slots else ""


@dataclass(frozen=True)
class Seen:
    """What the running process says of a server. `passed`: its last check was answered well."""

    host: str
    address: str
    weight: int
    enabled: bool
    passed: bool


def base_config(inside_subnet: str) -> str:
    """The part that is the same for every place.

    Args:
        inside_subnet: addresses of the services, such as 172.18.0.0/16: none of them is a client.
    """
    return f"""\
global
    setenv {_INSIDE} {inside_subnet}
    stats socket {RUN_DIR}/{SOCKET} mode 600 level admin
    maxconn 2000
    fd-hard-limit 8192
    nbthread 2
    hard-stop-after 5s

# The engine's own name server: a container that comes back at another address is found again.
resolvers engine
    nameserver engine 127.0.0.11:53
    timeout resolve 500ms
    timeout retry 500ms
    resolve_retries 2
    hold valid 500ms
    hold nx 500ms
    hold obsolete 500ms
    # An engine that is stuck does not answer, and its containers go on.
    hold other 1h
    hold refused 1h
    hold timeout 1h

defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 120s
    timeout http-request 15s
    timeout http-keep-alive 60s
    timeout queue 5s
    retries 2
    option redispatch 1
    retry-on conn-failure empty-response
    option disable-h2-upgrade
    option httpchk GET /ping
    http-check expect status 200
    default-server check inter 1s fastinter 250ms fall 30 rise 1 resolvers engine init-addr none
{_errors()}"""


def place_config(number: int, place: Place | None) -> str:
    """The part of one place, taken or not."""
    name = f"place{number:02d}"
    whose = f"{place.model} in {place.environment}" if place else "nobody"
    slots = place.slots if place else {}
    return f"""\
# {whose}
frontend {name}
    bind :{FIRST_PORT + number - 1}
    maxconn {_MAX_CONNECTIONS}
    tcp-request connection reject if {{ src "${{{_INSIDE}}}" }}
    acl from_a_page req.hdr(sec-fetch-site) -m found
    acl from_a_page req.hdr(origin) -m found
    acl for_this_machine req.hdr(host),host_only -m str -i 127.0.0.1 localhost
    http-request deny if {{ req.hdr(sec-fetch-site) -m str cross-site }}
    http-request deny if from_a_page !for_this_machine
    http-request deny deny_status 413 if {{ req.body_size gt {_MAX_BODY_BYTES} }}
    # A page in a browser cannot send it without asking first.
    acl from_a_prover req.hdr({PROBE_HEADER}) -m found
    use_backend {name}-{_TRIED} if from_a_prover {{ path_beg {CANDIDATE_PATH}/ }}
    default_backend {name}-{_LIVE}

backend {name}-{_LIVE}
{_servers(SLOTS, slots)}
backend {name}-{_TRIED}
    http-request replace-path {CANDIDATE_PATH}(/.*) \\1
{_servers((CANDIDATE,), slots)}"""


def commands(place: Place, seen: Mapping[str, Seen]) -> list[str]:
    """What makes the running process agree with a place; none where it does.

    Who is to answer comes first: there is no instant in which nobody has a weight.
    """
    first = sorted(SLOTS, key=lambda slot: -place.slots.get(slot, Server("")).weight)
    return [
        command
        for slot in (*first, CANDIDATE)
        for command in _slot_commands(place, slot, place.slots.get(slot), seen[slot])
    ]


def read_servers(said: str, number: int) -> dict[str, Seen]:
    """By slot, from the answer to `show servers state`; {} where it names no such place."""
    lines = [line for line in said.splitlines() if line.strip()]
    heads = [line[2:].split(" ") for line in lines if line.startswith("# ")]
    rows = [dict(zip(heads[0], line.split(" "), strict=False)) for line in lines[1:] if heads]
    ours = {f"place{number:02d}-{_LIVE}", f"place{number:02d}-{_TRIED}"}
    return {
        row["srv_name"]: Seen(
            row["srv_fqdn"],
            row["srv_addr"],
            int(row["srv_uweight"]),
            enabled=not int(row["srv_admin_state"]) & _FORCED_MAINT,
            passed=row["srv_check_result"] == _PASSED,
        )
        for row in rows
        if row.get("be_name") in ours
    }


def _slot_commands(place: Place, slot: str, wanted: Server | None, seen: Seen) -> list[str]:
    backend = f"place{place.number:02d}-{_TRIED if slot == CANDIDATE else _LIVE}"
    what = f"set server {backend}/{slot}"
    if wanted is None:
        return [f"{what} state maint"] if seen.enabled else []
    weight = [f"{what} weight {wanted.weight}"] if seen.weight != wanted.weight else []
    if seen.host == wanted.host:
        return weight + ([] if seen.enabled else [f"{what} state ready"])
    named = [f"{what} state maint", f"{what} fqdn {wanted.host}"]
    return [*named, *weight, f"{what} state ready"]


def _servers(names: tuple[str, ...], slots: Mapping[str, Server]) -> str:
    lines = ""
    for name in names:
        server = slots.get(name)
        host, rest = (server.host, server.weight) if server else (_NOBODY, f"{0} disabled")
        lines += f"    server {name} {host}:{PORT} weight {rest}\n"
    return lines


def _errors() -> str:
    """What the gateway itself answers looks as what a service answers."""
    answers = {
        403: ("FORBIDDEN", "A page of another site may not ask here."),
        400: ("BAD_REQUEST", "This is no HTTP request that the gateway can read."),
        408: ("REQUEST_TIMEOUT", "The head of the request was not complete in time."),
        413: ("TOO_LARGE", f"The body is larger than {_MAX_BODY_BYTES:,} bytes."),
        502: ("BAD_GATEWAY", "The service broke off before it had answered."),
        503: ("UNAVAILABLE", "No version answers here now. Try again."),
        504: ("GATEWAY_TIMEOUT", "The service did not answer in time."),
    }
    return "".join(
        f"    http-error status {status} content-type application/json string "
        f'\'{{"error_code": "{code}", "message": "{message}"}}\'\n'
        for status, (code, message) in answers.items()
    )
