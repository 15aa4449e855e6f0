"""How a walk around the loop ends: every way once, and what must not be taken for an end."""

import dataclasses
import datetime as dt

import pytest

from include.evergreen.adapters.ledger import Decision
from include.evergreen.cli.airflow_api import DagRun
from include.evergreen.cli.loop.outcome import FORGOTTEN_S, QUIET_S, Facts, Status, outcome_of
from include.evergreen.contracts import Deployment, FileOutcome, RunningService

SINCE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LATER = SINCE + dt.timedelta(minutes=1)


def run(state: str) -> DagRun:
    return DagRun("m.train", "r", state, "manual", "", "", "")


def file(state: str = "appended", rows: int = 10) -> FileOutcome:
    return FileOutcome("file:///a.csv", "d", state, rows, rule="types", reason="all bad")  # type: ignore[arg-type]


def live(at: dt.datetime) -> Deployment:
    service = RunningService("1", "n", "docker", "http://127.0.0.1:1", "", "")
    return Deployment("m", 3, "staging", service, at.isoformat())


def decision(stage: str, verdict: str, version: int | None = None) -> Decision:
    return Decision("m", stage, verdict, "because", {"version": version}, 1, LATER, LATER)


WORKING = Facts(dealt_with=True, file=file(), runs={"train": [run("running")]})
TRAINED = Facts(
    dealt_with=True,
    file=file(),
    runs={"train": [run("success")]},
    decisions=[decision("judge", "lost")],
    quiet_s=QUIET_S,
)
CHANGED = dataclasses.replace

ENDS = {
    "a version that went live since is staged": (
        CHANGED(WORKING, deployment=live(LATER)),
        Status.STAGED,
        "v3 is verified and answers at http://127.0.0.1:1",
    ),
    "a quarantined file wins over the task that failed for it": (
        CHANGED(WORKING, file=file("stopped"), failure="ingest failed"),
        Status.QUARANTINED,
        "types: all bad",
    ),
    "a failed run is a failure with its error": (
        CHANGED(WORKING, failure="m.train, task fit failed: MemoryError"),
        Status.FAILED,
        "MemoryError",
    ),
    "a challenger that lost is no failure": (
        TRAINED,
        Status.NO_NEW_VERSION,
        "judge: lost, because",
    ),
    "too few rows is no failure": (
        CHANGED(TRAINED, decisions=[decision("freeze", "not_yet")]),
        Status.NO_NEW_VERSION,
        "freeze: not yet, because",
    ),
    "the same bytes again are nothing new": (
        CHANGED(TRAINED, runs={}, decisions=[], fresh=False),
        Status.NO_NEW_VERSION,
        "ingested before",
    ),
    "a file of known rows only is nothing new": (
        CHANGED(TRAINED, runs={}, decisions=[], file=file(rows=0)),
        Status.NO_NEW_VERSION,
        "no row that is not known already",
    ),
    "a training that nobody woke is told": (
        CHANGED(TRAINED, runs={}, decisions=[], quiet_s=FORGOTTEN_S + 1),
        Status.STILL_GOING,
        "monitor looks into it",
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_each_end_has_its_status_and_its_reason(case: str) -> None:
    facts, status, reason = ENDS[case]
    outcome = outcome_of(facts, SINCE)
    assert outcome is not None
    assert (outcome.status, reason in outcome.reason) == (status, True), outcome


STAGED = CHANGED(WORKING, deployment=live(LATER))
IN_PRODUCTION = {
    "nobody has looked at it yet": (STAGED, False, "m.release brings it into production"),
    "nobody has looked at it, and somebody must": (
        STAGED,
        True,
        "m.release asks for approval before it goes into production",
    ),
    "it waits": (
        CHANGED(STAGED, decisions=[decision("release", "proposed", 3)]),
        True,
        "for production, m.release: waits for approval, because",
    ),
    "it was passed over": (
        CHANGED(STAGED, decisions=[decision("release", "passed_over", 3)]),
        False,
        "for production, m.release: passed over, because",
    ),
    "another one was rolled back": (
        CHANGED(STAGED, decisions=[decision("release", "rolled_back", 2)]),
        False,
        "m.release brings it into production",
    ),
    "it is there": (
        CHANGED(STAGED, production=live(LATER)),
        False,
        "it answers in production at http://127.0.0.1:1",
    ),
    "its release failed": (
        CHANGED(STAGED, release_failure="m.release, task watch_release failed"),
        False,
        "m.release brings it into production",
    ),
}


@pytest.mark.parametrize("case", IN_PRODUCTION)
def test_what_becomes_of_a_staged_version_in_production_is_said(case: str) -> None:
    facts, asks, said = IN_PRODUCTION[case]
    outcome = outcome_of(facts, SINCE, asks=asks)
    assert outcome is not None
    assert outcome.status == Status.STAGED
    assert outcome.reason == f"v3 is verified and answers at http://127.0.0.1:1, in staging; {said}"


GOES_ON = {
    "an old deployment is not this walk's end": CHANGED(WORKING, deployment=live(SINCE)),
    "the file is still growing": Facts(dealt_with=False),
    "a run is under way": CHANGED(TRAINED, runs={"train": [run("queued")]}),
    "a deployment is under way": CHANGED(TRAINED, runs={"deploy": [run("running")]}),
    "a version waits to be staged": CHANGED(TRAINED, candidate=4),
    "the asset event may still wake a training": CHANGED(TRAINED, quiet_s=QUIET_S - 1),
    "nothing was decided yet": CHANGED(TRAINED, runs={}, decisions=[]),
}


@pytest.mark.parametrize("case", GOES_ON)
def test_what_is_not_over_is_not_taken_for_an_end(case: str) -> None:
    assert outcome_of(GOES_ON[case], SINCE) is None


def test_the_statuses_are_what_the_help_says(project_root: object) -> None:
    assert {status.name: int(status) for status in Status} == {
        "STAGED": 0,
        "FAILED": 1,
        "REFUSED": 2,
        "NO_NEW_VERSION": 3,
        "QUARANTINED": 4,
        "STILL_GOING": 5,
    }
