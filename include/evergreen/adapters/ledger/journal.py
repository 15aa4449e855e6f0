"""What was decided about a model, for good: an append-only chain, gapless, one entry an event.

Where the ledger itself records what was decided, the entry is made in the same transaction:
neither is there without the other. Two transactions that append to one chain wait for each other;
the chain's lock is the last that a transaction takes, so they never wait in a circle.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from include.evergreen.adapters.ledger.engine import Store, lock_subject
from include.evergreen.adapters.ledger.schema import JOURNAL
from include.evergreen.contracts import JournalEntry, JournalLink
from include.evergreen.effects import effect, read
from include.evergreen.policy.journal import GENESIS, link


class Journal(Store):
    """The journal of every model. Nothing in it is ever changed, but when it was anchored."""

    @effect
    def append_journal(self, entry: JournalEntry, now: dt.datetime) -> JournalLink:
        """Append an entry; of an event that is told again, the entry that stands."""
        with self._write("journal", entry.model) as connection:
            return append(connection, entry, now)

    @read
    def journal(self, model: str) -> list[JournalLink]:
        """A model's whole chain, as it stands."""
        return self._links(model)

    @read
    def journal_models(self) -> list[str]:
        """Every model that has a journal, by name."""
        with self._read() as connection:
            return sorted(connection.scalars(select(JOURNAL.c.model).distinct()))

    @read
    def unanchored(self, model: str) -> list[JournalLink]:
        """Entries of which nothing says yet that they were anchored, the first one first."""
        return self._links(model, JOURNAL.c.anchored_at.is_(None))

    @effect
    def mark_anchored(self, model: str, number: int, now: dt.datetime) -> None:
        """Remember that an entry was anchored; the first time stands."""
        with self._write("journal", model) as connection:
            connection.execute(
                update(JOURNAL)
                .where(
                    JOURNAL.c.model == model,
                    JOURNAL.c.number == number,
                    JOURNAL.c.anchored_at.is_(None),
                )
                .values(anchored_at=now)
            )

    def _links(self, model: str, *which: ColumnElement[bool]) -> list[JournalLink]:
        statement = select(JOURNAL).where(JOURNAL.c.model == model, *which)
        statement = statement.order_by(JOURNAL.c.number)
        with self._read() as connection:
            return [_link(row) for row in connection.execute(statement).mappings()]


def append(connection: Connection, entry: JournalEntry, now: dt.datetime) -> JournalLink:
    """Append an entry in a transaction that records what it tells of."""
    lock_subject(connection, "journal", entry.model)
    of_model = JOURNAL.c.model == entry.model
    told = select(JOURNAL).where(of_model, JOURNAL.c.event == entry.event)
    row = connection.execute(told).mappings().first()
    if row is not None:
        return _link(row)
    newest = select(JOURNAL.c.number, JOURNAL.c.digest).where(of_model)
    head = connection.execute(newest.order_by(JOURNAL.c.number.desc()).limit(1)).first()
    number, previous = (1, GENESIS) if head is None else (head.number + 1, head.digest)
    appended = link(entry, number, previous, now)
    connection.execute(
        insert(JOURNAL).values(
            model=entry.model,
            number=number,
            event=entry.event,
            document=appended.document,
            previous=previous,
            digest=appended.digest,
        )
    )
    return appended


def _link(row: RowMapping) -> JournalLink:
    anchored_at = row["anchored_at"]
    return JournalLink(
        number=row["number"],
        event=row["event"],
        previous=row["previous"],
        digest=row["digest"],
        document=row["document"],
        anchored_at=None if anchored_at is None else anchored_at.isoformat(),
    )
