"""A write under a lease happens in the transaction in which its fence was found to stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sqlalchemy import Connection, Engine, RowMapping, select

from include.evergreen.adapters.ledger.records import Lease
from include.evergreen.adapters.ledger.schema import LEASES
from include.evergreen.errors import LeaseLost

#: The leases this thread writes under, each with the database that knows it.
_held: ContextVar[tuple[tuple[Engine, Lease], ...]] = ContextVar(
    "evergreen_ledger_leases", default=()
)


@contextmanager
def writing_under(engine: Engine, lease: Lease) -> Iterator[None]:
    """Every write to this database in this block (and thread) first looks at the fence.

    Inside of another such block it looks at both.
    """
    token = _held.set((*_held.get(), (engine, lease)))
    try:
        yield
    finally:
        _held.reset(token)


def check_held(engine: Engine, connection: Connection) -> None:
    """Raise LeaseLost in a transaction of a thread whose lease is somebody else's by now."""
    for where, lease in _held.get():
        if where is engine:
            check_fence(connection, lease, until_commit=True)


def check_fence(connection: Connection, lease: Lease, *, until_commit: bool = False) -> RowMapping:
    """The lease as it stands in the ledger, if it is still this one.

    Args:
        connection: in a transaction.
        lease: as it was taken.
        until_commit: nobody takes it over before the transaction ends. (On SQLite a transaction
            that writes is alone in any case.)

    Raises:
        LeaseLost: it was taken over.
    """
    statement = select(LEASES).where(LEASES.c.subject == lease.subject)
    if until_commit:
        statement = statement.with_for_update(read=True)
    row = connection.execute(statement).mappings().first()
    if row is None or row["fence"] != lease.fence:
        seen = "no lease at all" if row is None else f"fence {row['fence']}, held by {row['owner']}"
        raise LeaseLost(
            f"The lease of {lease.owner} on {lease.subject} has fence {lease.fence}, and the "
            f"ledger holds {seen}. Somebody else took the work over; this process changes nothing "
            "any more."
        )
    return row
