"""Facts to fill a ledger with, and a clock that stands still until it is moved."""

from __future__ import annotations

import datetime as dt

from include.evergreen.contracts import (
    Actor,
    BuiltImage,
    Candidate,
    ColumnDrift,
    DriftReport,
    DriftVerdict,
    FileOutcome,
    JournalEntry,
    Judgement,
    RunningService,
    Score,
    Snapshot,
    TrialBudget,
)

NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)
MODEL = "bike_demand"
BUDGET = TrialBudget(trials=5, seconds=60, workers=2)


def after(seconds: float) -> dt.datetime:
    return NOW + dt.timedelta(seconds=seconds)


def outcome(digest: str = "d1", rows: int = 10, state: str = "appended") -> FileOutcome:
    return FileOutcome(f"/landing/{digest}.csv", digest, state, rows_appended=rows)


def snapshot(key: str = "key1", model: str = MODEL) -> Snapshot:
    return Snapshot(
        model=model,
        key=key,
        data_version=3,
        labels_version=None,
        rows_digest="rows",
        spec_digest="spec",
        code_digest="code",
        rows={"train": 700, "validation": 200, "holdout": 100},
        seen_from="2026-01-01T00:00:00+00:00",
        seen_until="2026-11-01T00:00:00+00:00",
        holdout_from="2026-10-01T00:00:00+00:00",
        budget=BUDGET,
        request_ids=(1, 2),
        reason="2 requests: new_data",
    )


def judgement(verdict: str = "won", reason: str = "4% better than version 1") -> Judgement:
    return Judgement(verdict, reason, challenger=Score("rmse", 48.0, 100), champion_version=1)


def candidate(version: int = 2, key: str = "key1", model: str = MODEL) -> Candidate:
    return Candidate(model, version, f"run-{version}", key, "manifest", refitted=True)


def image(version: int = 2, digest: str = "sha256:1") -> BuiltImage:
    return BuiltImage(MODEL, version, "docker", f"evergreen/{MODEL}:{version}", digest, "manifest")


def service(version: int = 2) -> RunningService:
    return RunningService(
        service_id=f"container-{version}",
        name=f"{MODEL}-{version}",
        runtime="docker",
        endpoint=f"http://127.0.0.1:{9000 + version}",
        image_digest="sha256:1",
        spool="/spool",
    )


def drift_report(rows: int = 500, verdict: str = "drift") -> DriftReport:
    column = ColumnDrift("temperature", "psi", 0.4, 0.25, drifted=True)
    word = DriftVerdict(verdict, "1 of 8 columns drifted", 9000, rows, (column,))
    return DriftReport(MODEL, 2, word, "run-2", "file:///reports/1.html", None)


def journal_entry(event: str = "release:1", model: str = MODEL) -> JournalEntry:
    person = Actor("person", "admin")
    return JournalEntry(event, model, "approved", person, "looks good", to_version=2)
