"""Reconciles containers, images, registry, lake, studies and folders with the ledger.

First everything is listed and decided, then done one by one. Right before a thing is removed,
what needs it is read anew, under the lease of the training or deployment it belongs to, and the
decision made again: what changed meanwhile, or is being worked on, is left alone. A removal that
fails stops no other; at the end all that failed are named in one error, and the next run tries
them again. Nothing is done twice, for what is done is not found any more.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from include.evergreen.errors import Busy, InputError, MaintenanceIncomplete, SettingsError
from include.evergreen.policy.retention import decide_retention
from include.evergreen.policy.retention_facts import Decided, ModelFacts, Thing
from include.evergreen.stages.maintain.facts import gather_facts, known_models
from include.evergreen.stages.maintain.folders import FoldersPart
from include.evergreen.stages.maintain.journal import JournalPart
from include.evergreen.stages.maintain.parts import NOBODY, Installation, Part
from include.evergreen.stages.maintain.registry import RegistryPart
from include.evergreen.stages.maintain.report import failure_message, record, tell
from include.evergreen.stages.maintain.services import DeploymentsPart, ImagesPart, ServicesPart
from include.evergreen.stages.maintain.training import LakePart, StudiesPart, TrainingsPart

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What one run did, or would do, and what it left alone."""

    done: list[Decided] = field(default_factory=list)
    kept: list[Decided] = field(default_factory=list)
    failed: list[tuple[str, str, str]] = field(default_factory=list)  # model, what, why

    def as_json(self) -> dict[str, int]:
        counted = Counter(f"{d.action} {d.thing.kind}" for d in self.done)
        return {**dict(sorted(counted.items())), "kept": len(self.kept)}


def maintain(installation: Installation, *, dry_run: bool, model: str | None = None) -> Outcome:
    """Remove what nothing needs, finish what was left half done, and say what was kept and why.

    A dry run changes nothing but the ledger's record of it, and lists exactly what the next run
    would do.

    Raises:
        InputError: there is no such model.
        Unavailable: ledger or registry does not answer, so nobody knows what is needed.
        MaintenanceIncomplete: some could not be looked at or removed; the others were.
    """
    models = known_models(installation)
    _refuse_empty_ledger(installation)
    if model is not None:
        if model not in models:
            raise InputError(
                f"There is no model {model!r}; known are {', '.join(filter(None, models))}."
            )
        models = [model]
    run = _Run(installation, models)
    run.decide()
    tell(run.outcome, dry_run=dry_run)
    try:
        if not dry_run:
            run.act()
    finally:  # also what was done before somebody ended the run
        record(installation, models, run.outcome, dry_run=dry_run)
    if run.outcome.failed:
        raise MaintenanceIncomplete(failure_message(run.outcome))
    return run.outcome


def _refuse_empty_ledger(installation: Installation) -> None:
    """An empty ledger beside services of ours is not the ledger they were started under."""
    if installation.ledger.models():
        return
    standing = [service.name for runtime in installation.runtimes for service in runtime.find()]
    if standing:
        raise SettingsError(
            f"The ledger is empty, and yet there are {len(standing)} services of ours, "
            f"such as {standing[0]}: this is not the ledger they were started under. Nothing was "
            "touched. See that the connection evergreen_ledger (or EVERGREEN_LEDGER_URL) is there."
        )


class _Run:
    """One pass over all models: facts, things by part and model, and what became of them."""

    def __init__(self, installation: Installation, models: Sequence[str]) -> None:
        self._installation = installation
        self._models = models
        self._parts: dict[str, Part] = {
            part.name: part
            for part in (
                JournalPart(installation),  # first: a run that is removed takes no anchor
                DeploymentsPart(installation),
                ServicesPart(installation),
                ImagesPart(installation),
                StudiesPart(installation),
                RegistryPart(installation),
                LakePart(installation),
                FoldersPart(installation),
                TrainingsPart(installation),
            )
        }
        self._facts: dict[str, ModelFacts] = {}
        self._things: dict[tuple[str, str], list[Thing]] = {}
        self._waiting: list[tuple[str, Decided]] = []
        self.outcome = Outcome()

    def decide(self) -> None:
        """List everything and decide on it."""
        for model in self._models:
            self._facts[model] = gather_facts(self._installation, model)
            for name, part in self._parts.items():
                try:
                    self._things[name, model] = part.find(model)
                except Exception as error:  # noqa: BLE001 - named at the end
                    self._fail(model, f"the {name} of {model or 'no model'}", error)
        for part_name, decided in self._decided():
            if decided.action == "keep":
                self.outcome.kept.append(decided)
            else:
                self._waiting.append((part_name, decided))
        self.outcome.done = [decided for _, decided in self._waiting]

    def act(self) -> None:
        """Do what was decided, each thing only if it still is what it was."""
        self.outcome.done = []
        for part_name, decided in self._waiting:
            thing = decided.thing
            try:
                with self._installation.alone_with(thing):
                    again = self._decided_again(part_name, thing)
                    if again is None or again.action != decided.action:
                        why = again.reason if again else "it is gone"
                        log.info("%s %s is left alone after all: %s", thing.kind, thing.name, why)
                        continue
                    self._parts[part_name].act(again)
            except Busy as busy:
                log.info("%s %s is left to whoever works on it: %s", thing.kind, thing.name, busy)
            except Exception as error:  # noqa: BLE001 - named at the end
                self._fail(thing.model, f"{decided.action} {thing.kind} {thing.name}", error)
            else:
                log.info("%s %s %s: done", decided.action, thing.kind, thing.name)
                self.outcome.done.append(decided)

    def _decided(self) -> list[tuple[str, Decided]]:
        parts = [part for (part, _), things in self._things.items() for _ in things]
        things = [thing for things in self._things.values() for thing in things]
        rules, now = self._installation.rules, self._installation.now
        return list(zip(parts, decide_retention(things, self._facts, rules, now), strict=True))

    def _decided_again(self, part_name: str, thing: Thing) -> Decided | None:
        """The decision on a thing as everything stands now; None where it is gone."""
        self._facts[thing.model] = gather_facts(self._installation, thing.model)
        self._things[part_name, thing.model] = self._parts[part_name].find(thing.model)
        same = (thing.kind, thing.model, thing.name)
        return next(
            (
                decided
                for _, decided in self._decided()
                if (decided.thing.kind, decided.thing.model, decided.thing.name) == same
            ),
            None,
        )

    def _fail(self, model: str, what: str, error: Exception) -> None:
        log.error("Could not %s: %s", what, error, exc_info=error)
        self.outcome.failed.append((model or NOBODY, what, f"{type(error).__name__}: {error}"))
