"""What the parts of `maintain` share: the installation they look after, and what a part is."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from include.evergreen.errors import EvergreenError
from include.evergreen.policy.retention_facts import Decided, RetentionRules, Thing
from include.evergreen.settings import Settings
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.deploy.deployment_lease import deployment_subject
from include.evergreen.stages.deploy.settle import ALIASES
from include.evergreen.stages.leases import holding
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.stores import Stores
from include.evergreen.stages.training.training_steps import training_subject

if TYPE_CHECKING:
    from include.evergreen.adapters.runtime import Runtime

log = logging.getLogger(__name__)

#: The "model" of what belongs to no single one: build folders, networks, studies of nobody.
NOBODY = ""


@dataclass(frozen=True)
class Installation(Stores):
    """All models of an installation, the rules and the clock of one run over them."""

    settings: Settings
    specs: Mapping[str, ModelSpec]
    rules: RetentionRules
    now: dt.datetime
    owner: str = ""
    lease_s: float = 60.0

    def resources(self, model: str) -> Resources:
        return Resources(self.specs[model], self.settings, owner=self.owner)

    @contextmanager
    def alone_with(self, thing: Thing) -> Iterator[None]:
        """While nobody else trains what a thing belongs to, or moves what answers for its model.

        What belongs to no model is nobody's work.

        Raises:
            Busy: on entering; somebody is at work on it.
        """
        with ExitStack() as held:
            for subject in _subjects_of(thing):
                held.enter_context(holding(self, subject, wait=False))
            yield

    @cached_property
    def runtimes(self) -> list[Runtime]:
        """Processes, and containers where an engine answers; where none does it is said."""
        from include.evergreen.adapters.runtime import open_runtime

        found = [open_runtime("process", self.settings)]
        try:
            found.append(open_runtime("docker", self.settings))
        except EvergreenError as error:
            log.warning("Containers, images and networks are left alone in this run: %s", error)
        return found


def _subjects_of(thing: Thing) -> list[str]:
    """Where a training is named, it alone; else what answers for the model, in each environment."""
    if thing.training:
        return [training_subject(thing.training)]
    if thing.model == NOBODY:
        return []
    return [deployment_subject(thing.model, environment) for environment in ALIASES]


class Part(Protocol):
    """One store. `find` lists what stands there for a model; `act` removes or finishes one thing,
    and may be repeated.
    """

    name: str

    def find(self, model: str) -> list[Thing]: ...

    def act(self, decided: Decided) -> None: ...
