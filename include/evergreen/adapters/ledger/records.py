"""What the ledger hands back beyond the facts of `contracts`: frozen, one row each."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

from include.evergreen.contracts import (
    Candidate,
    FileOutcome,
    Judgement,
    RunningService,
    Snapshot,
)

TrainingState = Literal["open", "won", "lost", "not_yet", "registered", "failed"]
TicketState = Literal["free", "taken", "complete", "pruned", "failed"]
#: `spare`: replaced, and kept warm to take over again.
DeploymentState = Literal["starting", "live", "spare", "stopping", "stopped", "failed"]
HistoryKind = Literal[
    "file",
    "request",
    "answer",
    "decision",
    "training",
    "judgement",
    "candidate",
    "deployment",
    "drift",
]


@dataclass(frozen=True)
class FileClaim:
    """Who may ingest a file. `new`: the caller, under `fence`; `known`: done, see `outcome`;
    `busy`: somebody else, until their lease runs out.
    """

    fence: int
    state: Literal["new", "known", "busy"]
    outcome: FileOutcome | None = None


@dataclass(frozen=True)
class Lease:
    """The right to work on a subject. `fence` grows with each holder; the highest one stands."""

    subject: str
    owner: str
    fence: int


@dataclass(frozen=True)
class Decision:
    """A verdict with its reason; `count` times in a row, from `first_seen` to `last_seen`."""

    model: str
    stage: str
    verdict: str
    reason: str
    details: dict[str, Any]
    count: int
    first_seen: dt.datetime
    last_seen: dt.datetime


@dataclass(frozen=True)
class TrainingRecord:
    """One training, keyed by what it is. `attempts` counts the owners that opened it."""

    key: str
    model: str
    state: TrainingState
    owner: str
    attempts: int
    snapshot: Snapshot
    mlflow_run_id: str | None
    judgement: Judgement | None
    candidate: Candidate | None
    why: str | None
    opened_at: dt.datetime
    compute_seconds: float = 0.0


@dataclass(frozen=True)
class EndedTraining:
    """A training that was registered or lost."""

    key: str
    state: Literal["registered", "lost"]
    ended_at: dt.datetime
    spec_digest: str


@dataclass(frozen=True)
class ComputeCharge:
    """Seconds that one piece of work of a training took, as last charged at `at`."""

    training_key: str
    work: str
    at: dt.datetime
    seconds: float


@dataclass(frozen=True)
class Ticket:
    """The right to run one trial of a study."""

    study: str
    number: int
    state: TicketState
    worker: str | None
    lease_until: dt.datetime | None
    trial_number: int | None


@dataclass(frozen=True)
class DeploymentRecord:
    """One attempt to bring a version into an environment, and what became of it.

    `reason` is why it is in its state; of one that was replaced, why it was, where that was told.
    """

    id: int
    model: str
    version: int
    environment: Literal["staging", "production"]
    service_name: str
    state: DeploymentState
    service: RunningService | None
    reason: str
    checks: tuple[dict[str, Any], ...]
    begun_at: dt.datetime
    live_at: dt.datetime | None
    ended_at: dt.datetime | None


@dataclass(frozen=True)
class HistoryRow:
    """Something that happened to a model, in one line."""

    at: dt.datetime
    kind: HistoryKind
    summary: str
    reason: str = ""
    details: dict[str, Any] = field(default_factory=dict)
