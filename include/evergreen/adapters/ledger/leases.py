"""One holder of a piece of work at a time; who was away too long is known by an older fence."""

from __future__ import annotations

import datetime as dt
from contextlib import AbstractContextManager

from sqlalchemy import insert, select, update

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.fences import check_fence, writing_under
from include.evergreen.adapters.ledger.records import Lease
from include.evergreen.adapters.ledger.schema import LEASES
from include.evergreen.effects import effect, read
from include.evergreen.errors import Busy


class Leases(Store):
    """Leases on subjects such as `training:<key>`. A fence only ever grows."""

    @effect
    def take_lease(self, subject: str, owner: str, now: dt.datetime, lease_s: float) -> Lease:
        """The lease on a subject that is free, or whose lease ran out, or that is the owner's own.

        Each is given under a higher fence than any before: an earlier holder, also an earlier try
        of the same owner, has lost it in this very moment.

        Raises:
            Busy: somebody else holds it.
        """
        values = {
            "owner": owner,
            "taken_at": now,
            "lease_until": now + dt.timedelta(seconds=lease_s),
        }
        statement = select(LEASES).where(LEASES.c.subject == subject)
        with self._write("lease", subject) as connection:
            row = connection.execute(statement).mappings().first()
            if row is None:
                connection.execute(insert(LEASES).values(subject=subject, fence=1, **values))
                return Lease(subject, owner, 1)
            if row["owner"] != owner and row["lease_until"] > now:
                raise Busy(
                    f"{subject} is held by {row['owner']} since {row['taken_at']:%H:%M:%S} UTC, "
                    f"until {row['lease_until']:%H:%M:%S} UTC unless it is renewed; {owner} may "
                    "not touch it before. It is enough to try again later.",
                    until=row["lease_until"],
                )
            fence = int(row["fence"]) + 1
            connection.execute(
                update(LEASES).where(LEASES.c.subject == subject).values(fence=fence, **values)
            )
            return Lease(subject, owner, fence)

    @effect
    def renew_lease(self, lease: Lease, now: dt.datetime, lease_s: float) -> None:
        """Keep a lease for `lease_s` from now; also one that ran out and that nobody took.

        Raises:
            LeaseLost: somebody else has taken it.
        """
        self._set_until(lease, now + dt.timedelta(seconds=lease_s))

    @effect
    def confirm_lease(self, lease: Lease, now: dt.datetime, lease_s: float) -> None:
        """Return if the lease stands for half of `lease_s` at least; it is renewed if need be.

        Raises:
            LeaseLost: somebody else has taken it.
        """
        with self._read() as connection:
            row = check_fence(connection, lease)
        if row["lease_until"] < now + dt.timedelta(seconds=lease_s / 2):
            self.renew_lease(lease, now, lease_s)

    @effect
    def release_lease(self, lease: Lease, now: dt.datetime) -> None:
        """Whoever asks next has it at once. The fence stays, for the next one to be higher.

        Raises:
            LeaseLost: somebody else has taken it already.
        """
        self._set_until(lease, now)

    @read
    def under_lease(self, lease: Lease) -> AbstractContextManager[None]:
        """In this block every write of this thread is made only while the lease stands.

        The fence is looked at inside the transaction of the write: `LeaseLost`, and nothing was
        written, if somebody else has taken it.
        """
        return writing_under(self._engine, lease)

    def _set_until(self, lease: Lease, until: dt.datetime) -> None:
        with self._write("lease", lease.subject) as connection:
            check_fence(connection, lease)
            connection.execute(
                update(LEASES).where(LEASES.c.subject == lease.subject).values(lease_until=until)
            )
