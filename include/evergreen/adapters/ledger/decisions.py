"""Every verdict is kept with its reason; the same one again and again is one line with a count."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import RowMapping, insert, select, update

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.journal import append
from include.evergreen.adapters.ledger.records import Decision
from include.evergreen.adapters.ledger.schema import DECISIONS
from include.evergreen.contracts import JournalEntry
from include.evergreen.effects import effect, read


class Decisions(Store):
    """What the stages decided and why, including every 'no' and 'not yet'."""

    @effect
    def record_decision(
        self,
        model: str,
        stage: str,
        verdict: str,
        reason: str,
        details: dict[str, Any],
        now: dt.datetime,
        *,
        entry: JournalEntry | None = None,
    ) -> None:
        """Append a decision; if the stage's last one says the same, count it up instead.

        The journal's `entry` of it is made in the same transaction.
        """
        latest = (
            select(DECISIONS)
            .where(DECISIONS.c.model == model, DECISIONS.c.stage == stage)
            .order_by(DECISIONS.c.id.desc())
            .limit(1)
        )
        with self._write("decisions", model) as connection:
            row = connection.execute(latest).mappings().first()
            if row is not None and (row["verdict"], row["reason"]) == (verdict, reason):
                again = {"count": row["count"] + 1, "last_seen": now, "details": details}
                connection.execute(
                    update(DECISIONS).where(DECISIONS.c.id == row["id"]).values(**again)
                )
            else:
                connection.execute(
                    insert(DECISIONS).values(
                        model=model,
                        stage=stage,
                        verdict=verdict,
                        reason=reason,
                        details=details,
                        count=1,
                        first_seen=now,
                        last_seen=now,
                    )
                )
            if entry is not None:
                append(connection, entry, now)

    @read
    def decisions(self, model: str, limit: int = 50) -> list[Decision]:
        """The decisions seen last, newest first."""
        statement = (
            select(DECISIONS)
            .where(DECISIONS.c.model == model)
            .order_by(DECISIONS.c.last_seen.desc(), DECISIONS.c.id.desc())
            .limit(limit)
        )
        with self._read() as connection:
            rows = connection.execute(statement).mappings().all()
        return [_decision(row) for row in rows]

    @read
    def decisions_of(self, model: str, stage: str, limit: int = 500) -> list[Decision]:
        """What one stage decided, the one begun last first, whatever the clocks said."""
        statement = (
            select(DECISIONS)
            .where(DECISIONS.c.model == model, DECISIONS.c.stage == stage)
            .order_by(DECISIONS.c.id.desc())
            .limit(limit)
        )
        with self._read() as connection:
            rows = connection.execute(statement).mappings().all()
        return [_decision(row) for row in rows]

    @read
    def last_decision(self, model: str, *stages: str) -> Decision | None:
        """What these stages decided last; None where none of them has decided yet."""
        statement = (
            select(DECISIONS)
            .where(DECISIONS.c.model == model, DECISIONS.c.stage.in_(stages))
            .order_by(DECISIONS.c.last_seen.desc(), DECISIONS.c.id.desc())
            .limit(1)
        )
        with self._read() as connection:
            row = connection.execute(statement).mappings().first()
        return None if row is None else _decision(row)


def _decision(row: RowMapping) -> Decision:
    return Decision(**{key: row[key] for key in row if key != "id"})
