"""The gateway's places as files of the installation: who has which, and what HAProxy starts with.

A place is taken by making its file, which only one can; from then on only who works on that model
and environment writes it, under the lease of that deployment. Each place has a configuration file
of its own, so two models that are deployed at once never write the same file.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from include.evergreen.adapters.runtime.container_config import service_user
from include.evergreen.adapters.runtime.gateway_config import (
    PLACES,
    Place,
    base_config,
    place_config,
)
from include.evergreen.effects import effect, read
from include.evergreen.errors import EvergreenError, Unavailable
from include.evergreen.fencing import still_ours


class NoPlaceLeft(EvergreenError):
    """Every address of the gateway belongs to a model that has services."""


class PlaceFiles:
    """Files under `<home>/gateway`; what they say, the ledger decides."""

    def __init__(self, folder: Path) -> None:
        self.config, self.run = folder / "config", folder / "run"
        self._places, self._port = folder / "places", folder / "first_port"

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
        _replace(self._path(place.number), _text(place))
        self._write_config_of(place.number, place)

    @read
    def first_port(self) -> int | None:
        """The first of the published ports, as it was when the gateway was last made."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(self._port.read_text(encoding="utf-8"))
        return None

    @effect
    def remember_first_port(self, port: int) -> None:
        if self.first_port() != port:
            _replace(self._port, f"{port}\n")

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
        _replace(self.config / f"place{number:02d}.cfg", place_config(number, place))

    def _path(self, number: int) -> Path:
        return self._places / f"{number:02d}.json"


def _text(place: Place) -> str:
    return json.dumps(place.as_json(), indent=1)


def _written(path: Path, text: str) -> Path:
    made, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(made, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).chmod(0o644)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def _replace(path: Path, text: str) -> None:
    """Whole, or as it was; a file that says this already is left alone."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text(encoding="utf-8") == text:
            return
    _written(path, text).replace(path)


def _make(path: Path, text: str) -> None:
    """Make a file that is not there yet, whole.

    Raises:
        FileExistsError: it is there.
    """
    unfinished = _written(path, text)
    try:
        path.hardlink_to(unfinished)
    finally:
        unfinished.unlink()
