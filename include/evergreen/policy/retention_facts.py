"""What the retention policy is told: what stands in each store, and what each model needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal[
    "deployment",  # of the ledger, behind which engine or aliases lag
    "training",  # of the ledger, begun and not ended
    "journal_entry",  # of the ledger, without its anchor
    "service",
    "network",
    "image",
    "run",
    "logged_model",
    "version",
    "trial",
    "study",
    "snapshot",
    "table_files",
    "report",
    "spool",
    "work",
]
Action = Literal["remove", "finish", "keep"]

#: Trainings in these states are over: no run takes them up again.
OVER = frozenset({"registered", "lost", "not_yet"})
#: Deployments in these states have a service that somebody needs, or that settling removes.
UNDER_WAY = frozenset({"starting", "live", "spare", "stopping"})


@dataclass(frozen=True)
class RetentionRules:
    """How long things stay.

    `grace` is longer than any run may take. `rollback_versions` are the versions that were live
    before the present one, newest first.
    """

    retention: dt.timedelta
    grace: dt.timedelta = dt.timedelta(days=1)
    rollback_versions: int = 3


@dataclass(frozen=True)
class Thing:
    """Something that stands in a store.

    `name` is its own within store and kind. `since` is when anything about it last changed; None
    where nobody can say, and then it is kept. `training` is the key of the training it belongs to,
    `version` the registered version. `state` is what its store says of it, `holds` how many things
    would be lost with it (segments not in the lake yet, containers on a network).
    """

    kind: Kind
    model: str
    name: str
    since: dt.datetime | None
    version: int | None = None
    training: str = ""
    state: str = ""
    holds: int = 0


@dataclass(frozen=True)
class DeploymentFact:
    """One deployment as the ledger has it."""

    version: int
    environment: str
    state: str
    service: str
    live_at: dt.datetime | None = None


@dataclass(frozen=True)
class TrainingFact:
    """One training as the ledger has it; its version as the registry has it, if only that does."""

    state: str
    opened_at: dt.datetime
    version: int | None = None


@dataclass(frozen=True)
class ModelFacts:
    """What one model needs, from ledger and registry.

    `versions_of_runs` says which version an MLflow run made, `reports` which reports the last look
    of monitoring refers to. `has_spec` is false for a model whose YAML was taken away.
    """

    aliases: Mapping[str, int] = field(default_factory=dict)
    deployments: tuple[DeploymentFact, ...] = ()
    waiting: frozenset[int] = frozenset()
    trainings: Mapping[str, TrainingFact] = field(default_factory=dict)
    versions_of_runs: Mapping[str, int] = field(default_factory=dict)
    reports: frozenset[str] = frozenset()
    has_spec: bool = True


@dataclass(frozen=True)
class Decided:
    """What is to become of a thing, and why."""

    thing: Thing
    action: Action
    reason: str
