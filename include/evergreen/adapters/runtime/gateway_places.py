"""The gateway's places as files of the installation: who has which, and what HAProxy starts with.

A place is taken by making its file, which only one can; from then on only who works on that model
and environment writes it, under the lease of that deployment. Each place has a configuration file
of its own, so two models that are deployed at once never write the same file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from include.evergreen.adapters.runtime.container_config import service_user
from include.evergreen.adapters.runtime.gateway_config import (
    PLACES,
    PROVERS_FILE,
    base_config,
    certificate_path,
    place_config,
    place_name,
    words_file,
    words_path,
)
from include.evergreen.adapters.runtime.gateway_place import Place
from include.evergreen.effects import effect, read
from include.evergreen.errors import ArtifactRefused, EvergreenError, Unavailable
from include.evergreen.fencing import still_ours

log = logging.getLogger(__name__)


class NoPlaceLeft(EvergreenError):
    """Every address of the gateway belongs to a model that has services."""


class PlaceFiles:
    """Files under `<home>/gateway`; what they say, the ledger decides."""

    def __init__(self, folder: Path) -> None:
        self.config, self.run = folder / "config", folder / "run"
        self._places, self._port = folder / "places", folder / "first_port"
        self._provers_port, self._secret = folder / "provers_port", folder / "provers"

    @effect
    def prepare(self) -> None:
        """Make the folders: one that HAProxy reads, and one for its socket, that is its own."""
        for each in (self.config, self.run, self._places):
            each.mkdir(parents=True, exist_ok=True)
        self.config.chmod(0o755)
        if os.getuid() == 0:
            os.chown(self.run, *service_user())
        self.run.chmod(0o700)

    @effect
    def write_config(self, inside_subnet: str) -> None:
        """Everything that HAProxy reads when it starts."""
        _replace(self.config / "00-all.cfg", base_config(inside_subnet))
        known = hashlib.sha256(self.secret().encode()).hexdigest().upper()
        _replace(self.config / PROVERS_FILE, f"{known}\n", private=True)
        taken = {place.number: place for place in reversed(self.taken())}
        for number in range(1, PLACES + 1):
            self._write_config_of(number, taken.get(number))

    @read
    def taken(self) -> list[Place]:
        """Every place that somebody has, lowest first."""
        found = []
        for path in sorted(self._places.glob("*.json")):
            try:
                found.append(Place.from_json(json.loads(path.read_text(encoding="utf-8"))))
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError) as error:
                raise EvergreenError(
                    f"{path} says which model has an address of the gateway and cannot be read "
                    f"({error!r}). Remove it: the model's next deployment takes an address anew."
                ) from error
        return found

    @read
    def place_of(self, model: str, environment: str) -> Place | None:
        owned = [p for p in self.taken() if (p.model, p.environment) == (model, environment)]
        return owned[0] if owned else None

    @effect
    def take(self, model: str, environment: str, in_use: Callable[[Place], bool]) -> Place:
        """The place of a model and environment; taken now if it has none.

        Raises:
            NoPlaceLeft: all are taken, and each is in use.
        """
        while (owned := self.place_of(model, environment)) is None:
            numbers = {place.number for place in self.taken()}
            free = [number for number in range(1, PLACES + 1) if number not in numbers]
            if not free:
                free = [self._give_back(in_use)]
            place = Place(free[0], model, environment)
            still_ours()
            with contextlib.suppress(FileExistsError):  # somebody else's now: the next one
                _make(self._path(place.number), _text(place))
        return owned

    @effect
    def save(self, place: Place) -> None:
        """Remember who answers at a place, for the next start of HAProxy and for this one.

        Raises:
            Unavailable: the place was given to another model meanwhile; the next try takes one.
        """
        owner = self.place_of(place.model, place.environment)
        if owner is None or owner.number != place.number:
            raise Unavailable(f"Place {place.number} of the gateway is {place.model}'s no longer.")
        _replace(self._path(place.number), _text(place), private=True)
        self._write_config_of(place.number, place)

    @effect
    def save_certificate(self, place: Place, pem: str) -> None:
        """Keep what a place shows its clients, with its key, where only HAProxy reads it.

        Raises:
            ArtifactRefused: no server can be started with it.
        """
        unfinished = _written(self._certificate(place.number), pem, private=True)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(unfinished, password=_none)
        except (ssl.SSLError, OSError, ValueError) as error:
            unfinished.unlink()
            raise ArtifactRefused(
                f"The certificate for {place.model} in {place.environment} cannot be used "
                f"({error}). A PEM file with the certificate, those it rests on and its key, "
                "without a password, is expected at EVERGREEN_TLS_CERTIFICATE."
            ) from error
        unfinished.replace(self._certificate(place.number))

    @read
    def has_certificate(self, number: int) -> bool:
        return self._certificate(number).exists()

    @read
    def first_port(self) -> int | None:
        """The first of the published ports, as it was when the gateway was last made."""
        return _number(self._port)

    @read
    def provers_port(self) -> int | None:
        """The port at which services are proven, likewise."""
        return _number(self._provers_port)

    @effect
    def remember_ports(self, first: int, provers: int) -> None:
        _replace(self._port, f"{first}\n")
        _replace(self._provers_port, f"{provers}\n")

    @read
    def secret(self) -> str:
        """What who proves a service has to know; made when it is first asked for."""
        while True:
            with contextlib.suppress(FileNotFoundError):
                return self._secret.read_text(encoding="utf-8")
            self._secret.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                _make(self._secret, secrets.token_hex(16))

    def _give_back(self, in_use: Callable[[Place], bool]) -> int:
        unused = [place.number for place in self.taken() if not in_use(place)]
        if not unused:
            raise NoPlaceLeft(
                f"All {PLACES} addresses of the gateway belong to models that have services. "
                "Retire a model, or give some models an installation of their own."
            )
        still_ours()
        self._path(unused[0]).unlink(missing_ok=True)
        return unused[0]

    def _write_config_of(self, number: int, place: Place | None) -> None:
        shown = self._certificate(number)
        if place is not None and place.tls and not self.has_certificate(number):
            log.warning(
                "%s is gone, so nobody is let in to %s in %s: its next release brings it back.",
                shown, place.model, place.environment,
            )  # fmt: skip
            place = None
        _replace(self.config / Path(words_path(number)).name, words_file(place), private=True)
        _replace(self.config / f"{place_name(number)}.cfg", place_config(number, place))
        if place is not None and not place.tls:
            shown.unlink(missing_ok=True)

    def _certificate(self, number: int) -> Path:
        return self.config / Path(certificate_path(number)).name

    def _path(self, number: int) -> Path:
        return self._places / f"{number:02d}.json"


def _text(place: Place) -> str:
    return json.dumps(place.as_json(), indent=1)


def _none() -> str:
    return ""


def _number(path: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(path.read_text(encoding="utf-8"))
    return None


def _written(path: Path, text: str, *, private: bool) -> Path:
    """A file beside it with this text; a private one is read by HAProxy and its owner alone."""
    made, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(made, "w", encoding="utf-8") as file:
            file.write(text)
        if not private:
            Path(name).chmod(0o644)
        elif os.getuid() == 0:
            os.chown(name, *service_user())
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _replace(path: Path, text: str, *, private: bool = False) -> None:
    """Whole, or as it was; a file that says this already is left alone."""
    with contextlib.suppress(FileNotFoundError):
        kept = path.stat().st_mode & 0o077 == 0 or not private
        if kept and path.read_text(encoding="utf-8") == text:
            return
    _written(path, text, private=private).replace(path)


def _make(path: Path, text: str) -> None:
    """Make a file that is not there yet, whole and private.

    Raises:
        FileExistsError: it is there.
    """
    unfinished = _written(path, text, private=True)
    try:
        path.hardlink_to(unfinished)
    finally:
        unfinished.unlink()
