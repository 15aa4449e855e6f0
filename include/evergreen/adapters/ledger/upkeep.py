"""What keeping house needs of the ledger: which models and trainings there are, which images were
recorded, and how a study is forgotten together with its journal.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import delete, select, union

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.schema import (
    DEPLOYMENTS,
    IMAGES,
    ORPHANS,
    REQUESTS,
    STUDIES,
    TICKETS,
    TRAININGS,
)
from include.evergreen.contracts import BuiltImage
from include.evergreen.effects import effect, read


@dataclass(frozen=True)
class TrainingStanding:
    """A training in one line: where it stands, and the table versions its rows came from."""

    key: str
    state: str
    opened_at: dt.datetime
    version: int | None
    data_version: int
    labels_version: int | None


class Upkeep(Store):
    """Reads across models, and one removal."""

    @read
    def models(self) -> list[str]:
        """Every model that was ever asked to train, trained or deployed, by name."""
        tables = (REQUESTS, TRAININGS, IMAGES, DEPLOYMENTS)
        statement = union(*(select(table.c.model) for table in tables))
        with self._read() as connection:
            return sorted(connection.scalars(statement))

    @read
    def training_states(self, model: str) -> list[TrainingStanding]:
        """All trainings of a model, the one opened last first."""
        statement = (
            select(TRAININGS)
            .where(TRAININGS.c.model == model)
            .order_by(TRAININGS.c.opened_at.desc(), TRAININGS.c.key)
        )
        with self._read() as connection:
            rows = connection.execute(statement).mappings().all()
        return [
            TrainingStanding(
                key=row["key"],
                state=row["state"],
                opened_at=row["opened_at"],
                version=row["version"],
                data_version=row["snapshot"]["data_version"],
                labels_version=row["snapshot"]["labels_version"],
            )
            for row in rows
        ]

    @read
    def images(self, model: str) -> list[tuple[BuiltImage, dt.datetime]]:
        """Every image recorded for a model, and when it was."""
        statement = select(IMAGES.c.image, IMAGES.c.built_at).where(IMAGES.c.model == model)
        with self._read() as connection:
            rows = connection.execute(statement.order_by(IMAGES.c.version)).all()
        return [(BuiltImage.from_json(row.image), row.built_at) for row in rows]

    @effect
    def forget_study(self, study: str) -> None:
        """Forget the tickets of a study whose journal goes: a training that is taken up again
        after all opens a new one, with its whole budget. Forgotten already is fine.
        """
        with self._write("study", study) as connection:
            for table in (ORPHANS, TICKETS, STUDIES):
                connection.execute(delete(table).where(table.c.study == study))
