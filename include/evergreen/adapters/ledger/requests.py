"""One request a cause, and none is forgotten: it is pending until a training answers it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.schema import REQUESTS
from include.evergreen.contracts import RequestReason, RetrainRequest
from include.evergreen.effects import effect, read


class Requests(Store):
    """Requests to retrain. What is deferred simply stays pending; a 'not yet' is a decision."""

    @effect
    def request_retrain(
        self,
        model: str,
        reason: RequestReason,
        cause: str,
        details: dict[str, Any],
        now: dt.datetime,
    ) -> RetrainRequest | None:
        """Ask for a training; None if this cause was asked before, answered or not."""
        values: dict[str, Any] = {
            "model": model,
            "reason": reason,
            "cause": cause,
            "details": details,
        }
        asked = select(REQUESTS.c.id).where(REQUESTS.c.model == model, REQUESTS.c.cause == cause)
        with self._write("requests", model) as connection:
            if connection.execute(asked).first() is not None:
                return None
            result = connection.execute(insert(REQUESTS).values(**values, created_at=now))
            (number,) = result.inserted_primary_key or (0,)
        return RetrainRequest(id=number, created_at=now.astimezone(dt.UTC).isoformat(), **values)

    @read
    def pending_requests(self, model: str) -> list[RetrainRequest]:
        """Every request that no training has answered yet, oldest first."""
        statement = (
            select(REQUESTS)
            .where(REQUESTS.c.model == model, REQUESTS.c.outcome.is_(None))
            .order_by(REQUESTS.c.id)
        )
        with self._read() as connection:
            return [_request(row) for row in connection.execute(statement).mappings()]

    @read
    def requests(self, ids: Iterable[int]) -> list[RetrainRequest]:
        """These requests, answered or not, oldest first; one that is not known is left out."""
        statement = select(REQUESTS).where(REQUESTS.c.id.in_(sorted(set(ids))))
        with self._read() as connection:
            found = connection.execute(statement.order_by(REQUESTS.c.id)).mappings()
            return [_request(row) for row in found]

    @effect
    def answer_requests(
        self,
        ids: Iterable[int],
        training_key: str | None,
        outcome: str,
        why: str,
        now: dt.datetime,
    ) -> list[int]:
        """Answer what is still pending of `ids`, and return it; the first answer stands."""
        with self._write("answers") as connection:
            return answer(connection, ids, training_key, outcome, why, now)


def _request(row: RowMapping) -> RetrainRequest:
    return RetrainRequest(
        id=row["id"],
        model=row["model"],
        reason=row["reason"],
        cause=row["cause"],
        created_at=row["created_at"].isoformat(),
        details=row["details"],
    )


def answer(
    connection: Connection,
    ids: Iterable[int],
    training_key: str | None,
    outcome: str,
    why: str,
    now: dt.datetime,
) -> list[int]:
    """`Requests.answer_requests`, inside of a transaction of the caller's."""
    pending = REQUESTS.c.id.in_(sorted(set(ids))), REQUESTS.c.outcome.is_(None)
    answered = list(connection.scalars(select(REQUESTS.c.id).where(*pending)))
    connection.execute(
        update(REQUESTS)
        .where(*pending)
        .values(training_key=training_key, outcome=outcome, why=why, answered_at=now)
    )
    return sorted(answered)
