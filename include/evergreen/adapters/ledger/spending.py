"""What trainings have cost and how they ended: what decides about the next one."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func, insert, select, update

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.records import ComputeCharge, EndedTraining
from include.evergreen.adapters.ledger.schema import COMPUTE, TRAININGS
from include.evergreen.effects import effect, read
from include.evergreen.errors import LedgerConflict


class Spending(Store):
    """Compute seconds by piece of work, and the trainings that were judged."""

    @effect
    def charge_compute(
        self, key: str, work: str, began_at: dt.datetime, seconds: float, now: dt.datetime
    ) -> None:
        """Say what a piece of work of this training has taken so far; the last word stands.

        The training's `compute_seconds` are the sum over all its pieces, those of dead processes
        included: who began a piece has paid for what it said last.

        Raises:
            LedgerConflict: the ledger knows no such training.
        """
        piece = (
            COMPUTE.c.training_key == key,
            COMPUTE.c.work == work,
            COMPUTE.c.began_at == began_at,
        )
        of_training = COMPUTE.c.training_key == key
        with self._write("training", key) as connection:
            model = connection.scalar(select(TRAININGS.c.model).where(TRAININGS.c.key == key))
            if model is None:
                raise LedgerConflict(
                    f"The ledger knows no training {key!r}; open_training comes first."
                )
            again = update(COMPUTE).where(*piece).values(seconds=seconds, charged_at=now)
            if connection.execute(again).rowcount == 0:
                connection.execute(
                    insert(COMPUTE).values(
                        training_key=key,
                        work=work,
                        began_at=began_at,
                        model=model,
                        seconds=seconds,
                        charged_at=now,
                    )
                )
            total = connection.scalar(select(func.sum(COMPUTE.c.seconds)).where(of_training))
            connection.execute(
                update(TRAININGS).where(TRAININGS.c.key == key).values(compute_seconds=total)
            )

    @read
    def compute_since(self, model: str, since: dt.datetime) -> list[ComputeCharge]:
        """What a model's trainings were charged after `since`, oldest first."""
        statement = (
            select(COMPUTE)
            .where(COMPUTE.c.model == model, COMPUTE.c.charged_at > since)
            .order_by(COMPUTE.c.charged_at)
        )
        with self._read() as connection:
            return [
                ComputeCharge(row["training_key"], row["work"], row["charged_at"], row["seconds"])
                for row in connection.execute(statement).mappings()
            ]

    @read
    def trainings_opened_since(self, model: str, since: dt.datetime) -> list[dt.datetime]:
        """When a model's trainings were begun (each at its first attempt), oldest first."""
        statement = (
            select(TRAININGS.c.opened_at)
            .where(TRAININGS.c.model == model, TRAININGS.c.opened_at > since)
            .order_by(TRAININGS.c.opened_at)
        )
        with self._read() as connection:
            return list(connection.scalars(statement))

    @read
    def ended_trainings(self, model: str, limit: int) -> list[EndedTraining]:
        """The trainings that were registered or lost, the last judged first."""
        statement = (
            select(TRAININGS)
            .where(TRAININGS.c.model == model, TRAININGS.c.state.in_(("registered", "lost")))
            .order_by(TRAININGS.c.judged_at.desc(), TRAININGS.c.key)
            .limit(limit)
        )
        with self._read() as connection:
            return [
                EndedTraining(
                    key=row["key"],
                    state=row["state"],
                    ended_at=row["registered_at"] or row["judged_at"],
                    spec_digest=row["snapshot"]["spec_digest"],
                )
                for row in connection.execute(statement).mappings()
            ]
