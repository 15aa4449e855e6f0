"""What trainings leave behind, and those that nobody ends: studies, snapshots, table files."""

from __future__ import annotations

import datetime as dt
from typing import TypedDict, get_args

from include.evergreen.adapters.lake import TableName
from include.evergreen.policy.retention_facts import OVER, Decided, Thing
from include.evergreen.stages.maintain.parts import NOBODY, Installation

#: Rows in quarantine are somebody's data: nothing of that table is touched.
TABLES = tuple(table for table in get_args(TableName) if table != "quarantine")


class _Limits(TypedDict):
    needed: set[int]
    older_than: dt.timedelta


class TrainingsPart:
    """Trainings that were begun and not ended: new rows came, and a run began another instead."""

    name = "trainings"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def find(self, model: str) -> list[Thing]:
        return [
            Thing("training", model, t.key, t.opened_at, training=t.key, state=t.state)
            for t in self._installation.ledger.training_states(model)
            if t.state in {"open", "won"}
        ]

    def act(self, decided: Decided) -> None:
        installation, thing = self._installation, decided.thing
        installation.ledger.fail_training(thing.training, decided.reason, installation.now)


class StudiesPart:
    """Studies, by training; one whose training the ledger does not know is nobody's."""

    name = "studies"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._ledger, self._studies = installation.ledger, installation.studies

    def find(self, model: str) -> list[Thing]:
        found = self._studies.find()
        if model == NOBODY:
            names = self._ledger.models()
            known = {t.key for name in names for t in self._ledger.training_states(name)}
            nobodys = [key for key in found if key not in known]
            return [Thing("study", NOBODY, key, found[key], training=key) for key in nobodys]
        things = []
        for training in self._ledger.training_states(model):
            key = training.key
            if key in found:
                things.append(Thing("study", model, key, found[key], training=key))
                if training.state not in OVER and self._abandoned(key):
                    things.append(Thing("trial", model, key, found[key], training=key))
        return things

    def act(self, decided: Decided) -> None:
        key = decided.thing.training
        if decided.thing.kind == "study":
            self._ledger.forget_study(key)
            self._studies.remove(key)
            return
        study = self._studies.existing(key)
        if study is not None:
            study.fail_abandoned(lambda: self._held(key))

    def _abandoned(self, key: str) -> set[int]:
        study = self._studies.existing(key)
        return set(study.running()) - self._held(key) if study is not None else set()

    def _held(self, key: str) -> set[int]:
        """Trials on a ticket whose lease has not been over for long."""
        since = self._installation.now - self._installation.rules.grace
        return {
            ticket.trial_number
            for ticket in self._ledger.tickets(key)
            if ticket.trial_number is not None
            and ticket.state == "taken"
            and ticket.lease_until is not None
            and ticket.lease_until > since
        }


class LakePart:
    """Frozen snapshots, and files of tables that no version a snapshot came from names."""

    name = "lake"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._lake = installation.lake

    def find(self, model: str) -> list[Thing]:
        if model == NOBODY:
            return []
        snapshots = self._lake.snapshots(model)
        found = [
            Thing("snapshot", model, key, changed_at, training=key)
            for key, changed_at in sorted(snapshots.items())
        ]
        for table in TABLES:
            files = self._lake.unneeded_files(model, table, **self._limits(model, table))
            if files:
                old = self._installation.now - self._installation.rules.retention
                found.append(Thing("table_files", model, table, old, state=f"{len(files)} files"))
        return found

    def act(self, decided: Decided) -> None:
        thing = decided.thing
        if thing.kind == "snapshot":
            self._lake.remove_snapshot(thing.model, thing.training)
        else:
            limits = self._limits(thing.model, thing.name)
            self._lake.remove_unneeded_files(thing.model, thing.name, **limits)

    def _limits(self, model: str, table: str) -> _Limits:
        """The versions that a snapshot in the lake, or a training to come, was frozen from."""
        frozen = set(self._lake.snapshots(model))
        needed: set[int] = set()
        for training in self._installation.ledger.training_states(model):
            version = training.labels_version if table == "labels" else training.data_version
            if version is not None and (training.key in frozen or training.state not in OVER):
                needed.add(version)
        return {"needed": needed, "older_than": self._installation.rules.retention}
