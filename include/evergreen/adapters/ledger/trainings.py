"""One training a key, at most one version a training, and none without a judgement that it won."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from include.evergreen.adapters.ledger import journal_entries
from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.journal import append
from include.evergreen.adapters.ledger.records import TrainingRecord, TrainingState
from include.evergreen.adapters.ledger.requests import answer
from include.evergreen.adapters.ledger.schema import DEPLOYMENTS, TRAININGS
from include.evergreen.contracts import Candidate, Judgement, Snapshot
from include.evergreen.effects import effect, read
from include.evergreen.errors import LedgerConflict


class Trainings(Store):
    """Trainings from the frozen snapshot to the registered version."""

    @effect
    def open_training(
        self, snapshot: Snapshot, run_id_owner: str, now: dt.datetime
    ) -> TrainingRecord:
        """Open the training of this key, or return the one that exists.

        One that was abandoned (`open`, `won`) or that failed is resumed: it goes to the new
        owner, and a failed one is open again. Snapshot and MLflow run stay the first ones. One
        that is lost, not_yet or registered is returned as it is.
        """
        with self._write("training", snapshot.key) as connection:
            row = _row(connection, snapshot.key)
            if row is None:
                connection.execute(
                    insert(TRAININGS).values(
                        key=snapshot.key,
                        model=snapshot.model,
                        state="open",
                        owner=run_id_owner,
                        attempts=1,
                        snapshot=snapshot.as_json(),
                        opened_at=now,
                    )
                )
            elif row["state"] in {"open", "won", "failed"}:
                if row["state"] == "failed":
                    _set(connection, snapshot.key, state="won" if _won(row) else "open")
                if row["owner"] != run_id_owner:
                    attempts = row["attempts"] + 1
                    _set(connection, snapshot.key, owner=run_id_owner, attempts=attempts)
            return _record(_known(connection, snapshot.key))

    @effect
    def set_training_run(self, key: str, mlflow_run_id: str) -> None:
        """Remember the MLflow run of a training; the last one told stands."""
        with self._write("training", key) as connection:
            _known(connection, key)
            _set(connection, key, mlflow_run_id=mlflow_run_id)

    @effect
    def record_judgement(
        self,
        key: str,
        judgement: Judgement,
        now: dt.datetime,
        *,
        asked: Iterable[int] = (),
        run: str = "",
    ) -> Judgement:
        """Record the judge's word and return the one that stands: the first, unless 'not_yet'.

        A training that lost ends here: the requests it was `asked` by are answered with it. They
        and the journal's entry, told by `run`, come with it or not at all.
        """
        with self._write("training", key) as connection:
            row = _known(connection, key)
            if row["judgement"] and row["judgement"]["verdict"] != "not_yet":
                judgement = Judgement.from_json(row["judgement"])
            else:
                word = judgement.as_json()
                _set(connection, key, state=judgement.verdict, judgement=word, judged_at=now)
                append(connection, journal_entries.judged(row, judgement, run), now)
            if judgement.verdict == "lost":
                answer(connection, asked, key, "lost", judgement.reason, now)
        return judgement

    @effect
    def record_candidate(
        self,
        candidate: Candidate,
        now: dt.datetime,
        *,
        asked: Iterable[int] = (),
        run: str = "",
    ) -> None:
        """Record the version a won training was registered as; the same one again is a no-op.

        The requests it was `asked` by are answered with it, and the journal has its entry, told by
        `run`: all or nothing.

        Raises:
            LedgerConflict: the training has not won, or has another version already.
        """
        key = candidate.training_key
        with self._write("training", key) as connection:
            row = _known(connection, key)
            if not _won(row):
                raise LedgerConflict(
                    f"Version {candidate.version} of {candidate.model} cannot be a candidate: its "
                    f"training {key[:12]} is '{row['state']}', and only one that was judged 'won' "
                    "may register. Record the judgement first."
                )
            if row["version"] not in {None, candidate.version}:
                raise LedgerConflict(
                    f"Training {key[:12]} of {candidate.model} is registered as version "
                    f"{row['version']} already; version {candidate.version} is a second one. "
                    "Delete it from the registry."
                )
            if row["version"] is None:
                _set(
                    connection,
                    key,
                    state="registered",
                    candidate=candidate.as_json(),
                    version=candidate.version,
                    registered_at=now,
                )
                append(connection, journal_entries.registered(row, candidate, run), now)
            why = f"v{candidate.version}: {row['judgement']['reason']}"
            answer(connection, asked, key, "registered", why, now)

    @effect
    def fail_training(self, key: str, why: str, now: dt.datetime) -> None:
        """Mark a training that stopped with an error. Its requests stay pending, and the next
        run resumes it; one that has its verdict or version keeps it.
        """
        with self._write("training", key) as connection:
            if _known(connection, key)["state"] in {"open", "won", "failed"}:
                _set(connection, key, state="failed", why=why, failed_at=now)

    @read
    def training(self, key: str) -> TrainingRecord | None:
        """The training of this key; None if none was opened."""
        with self._read() as connection:
            row = _row(connection, key)
        return None if row is None else _record(row)

    @read
    def latest_training(
        self, model: str, state: TrainingState | None = None
    ) -> TrainingRecord | None:
        """The training opened last, of those in `state` if one is given."""
        statement = select(TRAININGS).where(TRAININGS.c.model == model)
        if state is not None:
            statement = statement.where(TRAININGS.c.state == state)
        statement = statement.order_by(TRAININGS.c.opened_at.desc(), TRAININGS.c.key).limit(1)
        with self._read() as connection:
            row = connection.execute(statement).mappings().first()
        return None if row is None else _record(row)

    @read
    def snapshot_of_version(self, model: str, version: int) -> Snapshot | None:
        """The rows a registered version was made from; None if the ledger does not know it."""
        statement = select(TRAININGS.c.snapshot).where(
            TRAININGS.c.model == model, TRAININGS.c.version == version
        )
        with self._read() as connection:
            document = connection.execute(statement).scalar()
        return None if document is None else Snapshot.from_json(document)

    @read
    def candidates_undeployed(self, model: str) -> list[Candidate]:
        """Registered versions still to be tried in staging, newest first.

        That is: newer than any version that has been live there, and without a deployment that
        failed.
        One whose deployment was begun and abandoned is still to be tried.
        """
        of_model = DEPLOYMENTS.c.model == model
        staging = DEPLOYMENTS.c.environment == "staging"
        been_live = select(func.coalesce(func.max(DEPLOYMENTS.c.version), 0)).where(
            of_model, staging, DEPLOYMENTS.c.live_at.is_not(None)
        )
        tried = select(DEPLOYMENTS.c.version).where(
            of_model, staging, DEPLOYMENTS.c.state.in_(("failed", "stopped"))
        )
        statement = (
            select(TRAININGS.c.candidate)
            .where(
                TRAININGS.c.model == model,
                TRAININGS.c.version > been_live.scalar_subquery(),
                TRAININGS.c.version.not_in(tried),
            )
            .order_by(TRAININGS.c.version.desc())
        )
        with self._read() as connection:
            return [Candidate.from_json(candidate) for candidate in connection.scalars(statement)]


def _row(connection: Connection, key: str) -> RowMapping | None:
    return connection.execute(select(TRAININGS).where(TRAININGS.c.key == key)).mappings().first()


def _known(connection: Connection, key: str) -> RowMapping:
    row = _row(connection, key)
    if row is None:
        raise LedgerConflict(f"The ledger knows no training {key!r}; open_training comes first.")
    return row


def _set(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(update(TRAININGS).where(TRAININGS.c.key == key).values(**values))


def _won(row: RowMapping) -> bool:
    return bool(row["judgement"]) and row["judgement"]["verdict"] == "won"


def _record(row: RowMapping) -> TrainingRecord:
    return TrainingRecord(
        key=row["key"],
        model=row["model"],
        state=row["state"],
        owner=row["owner"],
        attempts=row["attempts"],
        snapshot=Snapshot.from_json(row["snapshot"]),
        mlflow_run_id=row["mlflow_run_id"],
        judgement=Judgement.from_json(row["judgement"]) if row["judgement"] else None,
        candidate=Candidate.from_json(row["candidate"]) if row["candidate"] else None,
        why=row["why"],
        opened_at=row["opened_at"],
        compute_seconds=row["compute_seconds"] or 0.0,
    )
