"""Who answers at each address of the gateway, and how that is changed under its clients' feet."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from include.evergreen.adapters.runtime import gateway_socket
from include.evergreen.adapters.runtime.gateway import Gateway
from include.evergreen.adapters.runtime.gateway_commands import (
    commands,
    fingerprint,
    read_servers,
    read_tls,
    read_words,
)
from include.evergreen.adapters.runtime.gateway_config import certificate_path, words_path
from include.evergreen.adapters.runtime.gateway_place import (
    ALL,
    SLOTS,
    Place,
    Running,
    Seen,
    in_parts,
)
from include.evergreen.adapters.runtime.interface import PATIENCE_S, DoorSettings, Traffic
from include.evergreen.effects import effect, read
from include.evergreen.errors import Unavailable
from include.evergreen.fencing import still_ours

log = logging.getLogger(__name__)

_RESOLVE_S = 10.0  # HAProxy asks the engine for a name twice a second; a busy machine takes longer
_POLL_S = 0.02
#: The address a container has now on the network of the services; '' while it is not running.
Address = Callable[[], str]


class Routes:
    """Places by model and environment. Each is changed only under the lease of its deployment."""

    def __init__(self, gateway: Gateway, in_use: Callable[[Place], bool]) -> None:
        self._gateway, self._files, self._in_use = gateway, gateway.files, in_use

    @read
    def endpoint(self, model: str, environment: str) -> str:
        """The base URL of a model in an environment; '' where it has no place yet."""
        place = self._files.place_of(model, environment)
        return self._gateway.address(place.number) if place else ""

    @effect
    def open_place(self, model: str, environment: str) -> Place:
        """The place of a model in an environment, in a gateway that runs."""
        self._gateway.ensure_running()
        return self._files.take(model, environment, self._in_use)

    @effect
    def reach(self, model: str, environment: str, host: str, address: Address) -> str:
        """The base URL of this very service, for those who are to prove it.

        It is put beside who answers now already, so that to publish it takes an instant. Where it
        is already, nothing is changed: who only watches it needs no lease.
        """
        place = self.open_place(model, environment)
        slot = place.slot_of(host)
        if slot and self._is_found(self._seen(place.number)[slot], host, address):
            return self._gateway.provers_address(place.number, slot)
        place = self._as_it_is(model, environment).beside(host)
        self._settle(place)
        slot = str(place.slot_of(host))
        if not self._wait(place.number, slot, address, lambda _: True) and address():
            raise Unavailable(
                f"The gateway does not find {host} on the network of the services after "
                f"{_RESOLVE_S:g} s. The next try goes on; if that fails too, restart the gateway "
                f"(docker restart {self._gateway.name})."
            )
        return self._gateway.provers_address(place.number, slot)

    @effect
    def publish(
        self,
        model: str,
        environment: str,
        host: str,
        address: Address,
        *,
        spare: str = "",
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Send to this service whoever asks for its model and environment.

        First it is put beside who answers now; only when the gateway itself has seen it answer do
        requests go to it, and in the same instant to nobody else.

        Raises:
            Unavailable: it does not answer, and requests are sent to somebody else.
        """
        place = self._as_it_is(model, environment)
        others = any(s.share and s.host != host for s in place.slots.values())
        place = place.beside(host, *([spare] if spare else []))
        self._settle(place)
        slot = str(place.slot_of(host))
        answers = self._wait(place.number, slot, address, lambda seen: seen.passed)
        if not answers and others:
            raise Unavailable(
                f"{model} in {environment}: {host} does not answer the gateway, so requests still "
                "go to the version before it. Look at its log; the next run tries again."
            )
        place = dataclasses.replace(place, sticky=False, patience_s=patience_s)
        self._settle(place.sent_to({host: ALL}, spare))

    @effect
    def split(
        self,
        model: str,
        environment: str,
        shares: Mapping[str, float],
        addresses: Mapping[str, Address],
        *,
        sticky: bool,
        patience_s: float,
    ) -> None:
        """Divide the requests among these services, each of which has been seen to answer.

        Raises:
            Unavailable: one does not answer; requests are sent where they were.
        """
        place = self._as_it_is(model, environment).beside(*shares)
        self._settle(place)
        for host, address in addresses.items():
            slot = str(place.slot_of(host))
            if not self._wait(place.number, slot, address, lambda seen: seen.passed):
                raise Unavailable(
                    f"{model} in {environment}: {host} does not answer the gateway, so requests "
                    "are divided as they were. Look at its log; the next run tries again."
                )
        place = dataclasses.replace(place, sticky=sticky, patience_s=patience_s)
        self._settle(place.sent_to(in_parts(shares)))

    @read
    def traffic(self, model: str, environment: str) -> Traffic:
        """Who is asked, by the names of the network, as the running process has it."""
        place = self._files.place_of(model, environment)
        if place is None:
            return Traffic({})
        running = self._running(place.number)
        seen = running.servers.values()
        parts = {server.host: server.share for server in seen if server.share}
        spare = next((server.host for server in seen if server.spare), "")
        total = sum(parts.values())
        shares = {host: part / total for host, part in parts.items()}
        return Traffic(shares, spare, sticky="sticky" in running.words)

    @effect
    def guard(self, model: str, environment: str, door: DoorSettings) -> None:
        """Let in only who shows the token, over TLS where there is a certificate.

        What is kept of the token is its digest.
        """
        place = self._as_it_is(model, environment)
        place = dataclasses.replace(
            place, token_digest=_digest(door.token), tls=bool(door.certificate)
        )
        if door.certificate:
            self._files.save_certificate(place, door.certificate)
        self._settle(place)
        if door.certificate:
            self._show_certificate(place.number, door.certificate)

    @read
    def is_guarded(self, model: str, environment: str, door: DoorSettings) -> bool:
        """Whether the running gateway asks for this token and shows this certificate."""
        place = self._files.place_of(model, environment)
        if place is None:
            return door.open
        running = self._running(place.number)
        asked = _digest(door.token).upper()
        if running.words.get("token", "") != asked or running.tls != bool(door.certificate):
            return False
        return not door.certificate or self._shows(place.number, door.certificate)

    @read
    def is_published(self, host: str) -> bool:
        """Whether the running gateway sends requests to this service."""
        try:
            return any(
                seen.host == host and seen.share
                for place in self._places_with(host)
                for seen in self._seen(place.number).values()
            )
        except Unavailable:
            return False

    @read
    def is_silent(self, host: str) -> bool:
        """Whether the running gateway gets no answer from this service, to which it sends requests.

        Raises:
            Unavailable: the gateway does not answer.
        """
        return any(
            seen.host == host and seen.share and not seen.up
            for place in self._places_with(host)
            for seen in self._seen(place.number).values()
        )

    @effect
    def withdraw(self, host: str) -> None:
        """Send no more requests to this service; a gateway that is away is told when it starts."""
        for place in self._places_with(host):
            try:
                self._settle(place.without(host))
            except Unavailable as error:
                log.info("%s is withdrawn from the gateway's files only: %s", host, error)
            except OSError as error:  # a full disk does not keep a service from being removed
                log.warning("The gateway still knows %s, which goes: %s", host, error)

    def _as_it_is(self, model: str, environment: str) -> Place:
        place = self.open_place(model, environment)
        return place.as_seen(self._seen(place.number))

    def _places_with(self, host: str) -> list[Place]:
        return [
            place
            for place in self._files.taken()
            if any(server.host == host for server in place.slots.values())
        ]

    def _settle(self, place: Place) -> None:
        """The files, then the running process: what it starts with is never behind what it does."""
        self._files.save(place)
        running = self._running(place.number)
        gateway_socket.order(self._files.run, commands(place, running))
        tls = place.tls and self._files.has_certificate(place.number)
        if tls != running.tls:
            log.warning(
                "The door of %s in %s %s TLS from now on: the gateway is started anew for that, "
                "and every client of this installation connects again.",
                place.model, place.environment, "has" if tls else "has no",
            )  # fmt: skip
            self._gateway.restart()
        still_ours()  # whoever slept in between hears of it, and makes good what it sent

    def _show_certificate(self, number: int, pem: str) -> None:
        if not self._shows(number, pem):
            gateway_socket.change_certificate(self._files.run, certificate_path(number), pem)

    def _shows(self, number: int, pem: str) -> bool:
        path = certificate_path(number)
        return fingerprint(pem) in gateway_socket.ask(self._files.run, f"show ssl cert {path}")

    def _running(self, number: int) -> Running:
        ask = gateway_socket.ask
        words = read_words(ask(self._files.run, f"show map {words_path(number)}"))
        tls = read_tls(ask(self._files.run, "show ssl cert"), number)
        return Running(self._seen(number), words, tls)

    def _seen(self, number: int) -> dict[str, Seen]:
        seen = read_servers(gateway_socket.ask(self._files.run, "show servers state"), number)
        if set(seen) != set(SLOTS):
            raise Unavailable(
                f"The gateway knows no place {number}: it was started with other files. The next "
                "try goes on."
            )
        return seen

    def _is_found(self, seen: Seen, host: str, address: Address) -> bool:
        return seen.host == host and seen.enabled and seen.address == address() != ""

    def _wait(self, number: int, slot: str, address: Address, fit: Callable[[Seen], bool]) -> bool:
        """Whether the gateway has come to know the container's address, and what it sees is fit.

        One that does not run any more is not waited for.
        """
        deadline = time.monotonic() + _RESOLVE_S
        while time.monotonic() < deadline:
            seen, now = self._seen(number)[slot], address()
            if not now:
                return False
            if seen.address == now and fit(seen):
                return True
            time.sleep(_POLL_S)
        return False


def _digest(token: str) -> str:
    """What is kept of a token; '' where none is asked for."""
    return hashlib.sha256(token.encode()).hexdigest() if token else ""


def address_in(found: dict[str, Any] | None, network: str) -> str:
    """The address that an inspected container has on a network; '' while it is not running."""
    if found is None or not found["State"]["Running"]:
        return ""
    known = found["NetworkSettings"]["Networks"].values()
    return next((str(each["IPAddress"]) for each in known if each["NetworkID"] == network), "")
