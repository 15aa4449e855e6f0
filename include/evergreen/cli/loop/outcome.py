"""How a walk around the loop ended, from facts alone. Pure: facts in, a word and a reason out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from include.evergreen.adapters.ledger import Decision
from include.evergreen.cli.airflow_api import DagRun
from include.evergreen.contracts import Deployment, FileOutcome

#: Nothing has run for this long: what was to come has come.
QUIET_S = 8.0
#: An asset event that has woken nobody by now was lost; monitor's cron finds it later.
FORGOTTEN_S = 90.0
_SETTLED = ("lost", "not_yet", "nothing", "already_trained")


class Status(IntEnum):
    """The exit status of `run`."""

    STAGED = 0
    FAILED = 1
    REFUSED = 2
    NO_NEW_VERSION = 3
    QUARANTINED = 4
    STILL_GOING = 5


@dataclass(frozen=True)
class Outcome:
    status: Status
    reason: str


@dataclass(frozen=True)
class Facts:
    """What is known of a model at one moment, about everything since the walk began.

    `dealt_with`: the landed file is acknowledged (True where none was landed). `decisions` and
    `runs` are newest first. `deployment` is live in staging, `production` in production. `failure`
    is the error of a run that failed, `release_failure` of one that was to release a version.
    """

    dealt_with: bool
    file: FileOutcome | None = None
    fresh: bool = True
    runs: Mapping[str, Sequence[DagRun]] = field(default_factory=dict)
    running: tuple[str, ...] = ()
    decisions: Sequence[Decision] = ()
    deployment: Deployment | None = None
    production: Deployment | None = None
    candidate: int | None = None
    failure: str = ""
    release_failure: str = ""
    quiet_s: float = 0.0
    note: str = ""

    def active(self, *stages: str) -> bool:
        """Whether a run of these stages is queued or running."""
        return any(not run.is_over for stage in stages for run in self.runs.get(stage, ()))


def outcome_of(facts: Facts, since: dt.datetime, *, asks: bool = False) -> Outcome | None:
    """The end of the walk, or None while it goes on: a version in staging is one, whatever becomes
    of it in production. `asks`: somebody must approve a release.
    """
    file = facts.file
    if facts.dealt_with and file is not None and file.state in ("quarantined", "stopped"):
        return Outcome(Status.QUARANTINED, f"{file.rule}: {file.reason}")
    live = facts.deployment
    if live is not None and dt.datetime.fromisoformat(live.deployed_at) > since:
        where = live.service.endpoint
        said = f"v{live.version} is verified and answers at {where}, in staging"
        return Outcome(Status.STAGED, f"{said}; {_in_production(facts, live, asks)}")
    if facts.failure:
        return Outcome(Status.FAILED, facts.failure)
    if not facts.dealt_with or facts.active("ingest", "train", "deploy"):
        return None
    if facts.candidate is not None or facts.quiet_s < QUIET_S:
        return None
    return _why_nothing_came(facts)


def _in_production(facts: Facts, staged: Deployment, asks: bool) -> str:
    """What becomes of a staged version in production, as far as it is known."""
    dag = f"{staged.model}.release"
    if facts.production is not None and facts.production.version == staged.version:
        return f"it answers in production at {facts.production.service.endpoint}"
    for decision in facts.decisions:
        about = decision.details.get("version")
        if decision.stage == "release" and about == staged.version:
            waits = asks and decision.verdict == "proposed"
            word = "waits for approval" if waits else decision.verdict.replace("_", " ")
            return f"for production, {dag}: {word}, {decision.reason}"
    if asks:
        return f"{dag} asks for approval before it goes into production"
    return f"{dag} brings it into production"


def _why_nothing_came(facts: Facts) -> Outcome | None:
    """Everything is quiet and no version came: the newest decision says why."""
    if any(run.state == "success" for run in facts.runs.get("train", ())):
        for decision in facts.decisions:
            if decision.verdict in _SETTLED:
                said = f"{decision.stage}: {decision.verdict.replace('_', ' ')}, {decision.reason}"
                return Outcome(Status.NO_NEW_VERSION, said)
    if facts.file is not None and not facts.fresh:
        return Outcome(
            Status.NO_NEW_VERSION, "these very bytes were ingested before; there is nothing new"
        )
    if facts.file is not None and not facts.file.rows_appended:
        return Outcome(Status.NO_NEW_VERSION, "the file holds no row that is not known already")
    if facts.quiet_s > FORGOTTEN_S:
        return Outcome(
            Status.STILL_GOING, "no training has started; the next run of monitor looks into it"
        )
    return None
