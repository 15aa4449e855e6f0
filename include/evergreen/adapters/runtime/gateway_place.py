"""Who answers at one address of the gateway, with what share of its requests. Pure.

HAProxy keeps all of it as one number a server, its weight: 0 is asked only by who proves it, 1 is
a spare, and 1 + n has n of the 200 shares. So a file, an order and what the running process says
are the same thing, and one order is one command line.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from include.evergreen.adapters.runtime.interface import PATIENCE_S
from include.evergreen.effects import read

SLOTS = ("s1", "s2", "s3")  # what answers, what is to answer, and one that is still being left
#: All requests of a place, in the smallest part that one service can have: half a percent.
ALL = 200


@dataclass(frozen=True)
class Server:
    """A service behind a place: its name on the network, and its part of the requests, of `ALL`.

    A spare has none. It answers those that nobody else does.
    """

    host: str
    share: int = 0
    spare: bool = False

    @property
    def weight(self) -> int:
        return self.share + 1 if self.share or self.spare else 0


@dataclass(frozen=True)
class Seen:
    """What the running process says of a server. `passed`: its last check was answered well; `up`:
    enough of the last ones were, so that it is asked.
    """

    host: str
    address: str
    weight: int
    enabled: bool
    passed: bool
    up: bool

    @property
    def share(self) -> int:
        return max(self.weight - 1, 0) if self.enabled else 0

    @property
    def spare(self) -> bool:
        return self.enabled and self.weight == 1


@dataclass(frozen=True)
class Running:
    """What the running process says of a place: its servers by slot, its words, and its door."""

    servers: Mapping[str, Seen]
    words: Mapping[str, str] = field(default_factory=dict)
    tls: bool = False


@dataclass(frozen=True)
class Place:
    """Who answers at one address. `slots` holds the servers that are taken.

    `sticky`: requests with one X-Request-Key are answered by one version. `patience_s`: how long
    one server may think about a small request while another could answer it. `token_digest`: the
    SHA-256 (hex) of the token that clients must show; '' lets everybody in.
    """

    number: int
    model: str
    environment: str
    slots: Mapping[str, Server] = field(default_factory=dict)
    sticky: bool = False
    patience_s: float = PATIENCE_S
    token_digest: str = field(default="", repr=False)
    tls: bool = False

    @read
    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    @read
    def from_json(cls, document: Mapping[str, Any]) -> Place:
        """From a file, also one from before there were shares (its servers have weights)."""
        known = {f.name for f in dataclasses.fields(cls)} & set(document)
        slots = {
            name: _server_from(server)
            for name, server in document["slots"].items()
            if name in SLOTS
        }
        return cls(**{**{name: document[name] for name in known}, "slots": slots})

    @property
    def words(self) -> dict[str, str]:
        """What HAProxy looks up while it answers, and is told without a reload."""
        found = {"patience": str(round(self.patience_s * 1000))}
        if self.sticky:
            found["sticky"] = "on"
        if self.token_digest:
            found["token"] = self.token_digest.upper()
        return found

    @read
    def slot_of(self, host: str) -> str | None:
        """Where a service stands among those that clients may be sent to."""
        return next((name for name in SLOTS if self._host(name) == host), None)

    @read
    def beside(self, *hosts: str) -> Place:
        """With each of the services in a slot of its own, and no other request sent to it than is.

        Where every slot is taken, the one that has been left for longest is given up.
        """
        place = self
        for host in hosts:
            if place.slot_of(host) is None:
                slots = {**place.slots, place._slot_to_give(hosts): Server(host)}
                place = place._with(slots)
        return place

    @read
    def sent_to(self, shares: Mapping[str, int], spare: str = "") -> Place:
        """With the requests divided so among services that have slots; all others are left."""
        slots = {
            name: Server(server.host, shares.get(server.host, 0), spare=server.host == spare)
            for name, server in self.slots.items()
        }
        return self._with(slots)

    @read
    def as_seen(self, seen: Mapping[str, Seen]) -> Place:
        """With the shares that the running process has: after a death between file and order the
        file says who was to answer, and the process who does.
        """
        slots = {
            name: Server(server.host, seen[name].share, spare=seen[name].spare)
            if seen[name].host == server.host
            else server
            for name, server in self.slots.items()
        }
        return self._with(slots)

    @read
    def without(self, host: str) -> Place:
        """With its requests sent to those who have the others; where none has, to the spare."""
        left = self._with({n: server for n, server in self.slots.items() if server.host != host})
        was = self.slot_of(host)
        if was is None or not self.slots[was].share:
            return left
        heirs = {s.host: float(s.share) for s in left.slots.values() if s.share}
        heirs = heirs or {s.host: 1.0 for s in left.slots.values() if s.spare}
        spare = next((s.host for s in left.slots.values() if s.spare), "")
        return left.sent_to(in_parts(heirs), "" if spare in heirs else spare) if heirs else left

    def _slot_to_give(self, kept: Iterable[str]) -> str:
        """A free slot, else one of a server that nobody is sent to, else of one that is no spare's;
        never that of a service to be kept.
        """

        def reluctance(name: str) -> tuple[bool, int]:
            server = self.slots.get(name)
            if server is None:
                return (False, 0)
            return (server.host in kept, 1 if not server.weight else 2 + 2 * server.share)

        return min(SLOTS, key=reluctance)

    def _with(self, slots: Mapping[str, Server]) -> Place:
        return dataclasses.replace(self, slots=dict(sorted(slots.items())))

    def _host(self, slot: str) -> str:
        return self.slots[slot].host if slot in self.slots else ""


@read
def in_parts(shares: Mapping[str, float]) -> dict[str, int]:
    """Shares in parts of `ALL` that add up to it: each within half a percent of what was asked.

    What is left over goes to those who lost most by it; who has a share above 0 has one part at
    least. `shares`: above 0, in any unit.
    """
    total = math.fsum(shares.values())
    exact = {name: share / total * ALL for name, share in shares.items()}
    parts = {name: max(1, math.floor(value + 1e-9)) for name, value in exact.items()}
    while (missing := ALL - sum(parts.values())) != 0:
        step = 1 if missing > 0 else -1
        able = [name for name in sorted(parts) if parts[name] + step >= 1]
        parts[max(able, key=lambda name: step * (exact[name] - parts[name]))] += step
    return parts


def _server_from(document: Mapping[str, Any]) -> Server:
    if "weight" in document:
        return Server(document["host"], ALL if document["weight"] else 0)
    return Server(**document)
