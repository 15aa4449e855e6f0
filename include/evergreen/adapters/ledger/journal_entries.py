"""Entries of what the ledger itself records: judgements, registrations, what staging came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from include.evergreen.adapters.ledger.schema import IMAGES, TRAININGS
from include.evergreen.contracts import Actor, Candidate, JournalEntry, Judgement
from include.evergreen.policy.journal import cut, digest_of

JUDGE = Actor("policy", "judge")
VERIFICATION = Actor("policy", "verification")
#: The environment whose deployments are told here; a release tells its own.
STAGING = "staging"


def judged(row: RowMapping, judgement: Judgement, run: str) -> JournalEntry:
    """The judge's word on the training `row`. A 'not yet' is told once a reason."""
    event = f"judgement:{row['key']}"
    if judgement.verdict == "not_yet":
        event += f":not_yet:{digest_of('', judgement.reason)[:12]}"
    return JournalEntry(
        event=event,
        model=row["model"],
        kind="judged",
        actor=JUDGE,
        why=cut(judgement.reason),
        run=run or row["owner"],
        from_version=judgement.champion_version,
        evidence=_evidence(judgement),
        digests=_digests(row),
        mlflow_run=row["mlflow_run_id"] or "",
    )


def registered(row: RowMapping, candidate: Candidate, run: str) -> JournalEntry:
    """The version that the training `row`, which was judged, has become."""
    judgement = Judgement.from_json(row["judgement"])
    return JournalEntry(
        event=f"registered:{row['key']}",
        model=row["model"],
        kind="registered",
        actor=JUDGE,
        why=cut(judgement.reason),
        run=run or row["owner"],
        from_version=judgement.champion_version,
        to_version=candidate.version,
        evidence={"refitted": candidate.refitted},
        digests={**_digests(row), "manifest": candidate.manifest_digest},
        mlflow_run=candidate.run_id,
    )


def staged(
    connection: Connection, row: RowMapping, run: str, *, before: int | None
) -> JournalEntry | None:
    """What became of a deployment: `row` as it is now; None where that is not told here.

    `before` is the version that was live in its place, or still is.
    """
    if row["environment"] != STAGING or row["state"] not in {"live", "failed"}:
        return None
    live = row["state"] == "live"
    training = _training_of(connection, row["model"], row["version"])
    checks = [_short(check) for check in row["checks"]]
    return JournalEntry(
        event=f"deployment:{row['id']}:{row['state']}",
        model=row["model"],
        kind="staged" if live else "staging_failed",
        actor=VERIFICATION,
        why=cut(row["reason"]),
        run=run,
        from_version=before,
        to_version=row["version"],
        evidence={"service": row["service_name"], "checks": checks},
        digests={**_digests(training), **_built(connection, row)},
        mlflow_run=(training["mlflow_run_id"] or "") if training else "",
    )


def _evidence(judgement: Judgement) -> dict[str, Any]:
    """Scores and gates; what a gate drew for the model card stays there."""
    scores = {
        name: score.as_json()
        for name, score in (
            ("challenger", judgement.challenger),
            ("champion", judgement.champion),
            ("baseline", judgement.baseline),
        )
        if score is not None
    }
    return {
        "verdict": judgement.verdict,
        "scores": scores,
        "improvement": judgement.improvement,
        "required_improvement": judgement.required_improvement,
        "gates": [_short({**gate.as_json(), "evidence": None}) for gate in judgement.gates],
    }


def _short(said: Mapping[str, Any]) -> dict[str, Any]:
    """What was seen and required, each no longer than an entry may hold."""
    return {
        name: cut(value) if isinstance(value, str) else value
        for name, value in said.items()
        if value is not None
    }


def _digests(training: RowMapping | None) -> dict[str, str]:
    if training is None:
        return {}
    snapshot = training["snapshot"]
    return {
        "training_key": training["key"],
        "rows": snapshot["rows_digest"],
        "spec": snapshot["spec_digest"],
        "code": snapshot["code_digest"],
    }


def _built(connection: Connection, row: RowMapping) -> dict[str, str]:
    """The image that was started, and the manifest it was built from; less where there is less."""
    service = row["service"]
    if service is None:
        return {}
    statement = select(IMAGES.c.image).where(
        IMAGES.c.model == row["model"],
        IMAGES.c.version == row["version"],
        IMAGES.c.runtime == service["runtime"],
    )
    image = connection.execute(statement).scalar()
    manifest = {"manifest": image["manifest_digest"]} if image else {}
    return {"image": service["image_digest"], **manifest}


def _training_of(connection: Connection, model: str, version: int) -> RowMapping | None:
    statement = select(TRAININGS).where(TRAININGS.c.model == model, TRAININGS.c.version == version)
    return connection.execute(statement).mappings().first()
