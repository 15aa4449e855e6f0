"""A study runs exactly its budget of trials, whoever dies: each trial needs a numbered ticket.

The tickets of a study are all made when it is opened, so there is no way to more of them. A
worker holds one under a lease; when it runs out, the ticket is free again and the trial that was
bound to it is an orphan, reported once so that the study can be told that it failed. Workers
give themselves a name of their own for each try (run, index and try number).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.records import Ticket
from include.evergreen.adapters.ledger.schema import ORPHANS, STUDIES, TICKETS
from include.evergreen.contracts import TrialBudget
from include.evergreen.effects import effect, read
from include.evergreen.errors import LeaseLost, LedgerConflict


class Tickets(Store):
    """The exact budget of a study, shared by its workers."""

    @effect
    def open_study(
        self, study: str, budget: TrialBudget, now: dt.datetime, run: str = ""
    ) -> dt.datetime:
        """The study's deadline. The first caller fixes it, and the number of tickets, for all.

        A later `run` that finds the time over (the run before it died) gets `seconds` anew,
        once; what is left of the tickets stays what it is.
        """
        deadline = now + dt.timedelta(seconds=budget.seconds)
        with self._write("study", study) as connection:
            row = connection.execute(select(STUDIES).where(STUDIES.c.study == study)).first()
            if row is None:
                connection.execute(
                    insert(STUDIES).values(
                        study=study,
                        run=run,
                        trials=budget.trials,
                        seconds=budget.seconds,
                        opened_at=now,
                        deadline=deadline,
                    )
                )
                numbers = range(budget.trials)
                tickets = [{"study": study, "number": n, "state": "free"} for n in numbers]
                connection.execute(insert(TICKETS), tickets)
                return deadline.astimezone(dt.UTC)
            standing: dt.datetime = row.deadline
            if row.run == run or standing > now:
                return standing
            deadline = now + dt.timedelta(seconds=row.seconds)
            connection.execute(
                update(STUDIES).where(STUDIES.c.study == study).values(run=run, deadline=deadline)
            )
            return deadline.astimezone(dt.UTC)

    @effect
    def take_ticket(
        self, study: str, worker: str, now: dt.datetime, lease_s: float = 300
    ) -> int | None:
        """The lowest ticket nobody holds; None if all are spent or held, or the time is over.

        The time is over at the deadline, but not before one trial has ended: a search whose
        workers were dead until then has nothing yet.
        """
        with self._write("study", study) as connection:
            deadline = connection.scalar(select(STUDIES.c.deadline).where(STUDIES.c.study == study))
            if deadline is None:
                raise LedgerConflict(f"The ledger knows no study {study!r}; open_study first.")
            if now >= deadline and _any_ended(connection, study):
                return None
            _free(connection, _expired(study, now))
            lowest = (
                select(TICKETS.c.number)
                .where(TICKETS.c.study == study, TICKETS.c.state == "free")
                .order_by(TICKETS.c.number)
                .limit(1)
            )
            number = connection.execute(lowest).scalar()
            if number is None:
                return None
            connection.execute(
                update(TICKETS)
                .where(_is(study, number))
                .values(
                    state="taken", worker=worker, lease_until=now + dt.timedelta(seconds=lease_s)
                )
            )
            return int(number)

    @effect
    def bind_trial(self, study: str, number: int, worker: str, trial_number: int) -> None:
        """Say which trial runs on a ticket, so that it can be told FAIL should its worker die.

        Raises:
            LeaseLost: the ticket is not this worker's any more.
        """
        with self._write("study", study) as connection:
            _held(connection, study, number, worker)
            connection.execute(
                update(TICKETS).where(_is(study, number)).values(trial_number=trial_number)
            )

    @effect
    def renew_ticket(
        self, study: str, number: int, worker: str, now: dt.datetime, lease_s: float = 300
    ) -> None:
        """Keep a ticket through a trial that takes longer than the lease.

        Raises:
            LeaseLost: the ticket is not this worker's any more; its trial does not count.
        """
        with self._write("study", study) as connection:
            _held(connection, study, number, worker)
            lease_until = now + dt.timedelta(seconds=lease_s)
            connection.execute(
                update(TICKETS).where(_is(study, number)).values(lease_until=lease_until)
            )

    @effect
    def finish_ticket(
        self,
        study: str,
        number: int,
        worker: str,
        state: Literal["complete", "pruned", "failed"],
    ) -> None:
        """The ticket is spent. The same worker saying so again is a no-op.

        Raises:
            LeaseLost: the ticket is not this worker's any more; its trial does not count.
        """
        if state not in {"complete", "pruned", "failed"}:
            raise ValueError(f"A ticket ends as complete, pruned or failed, not as {state!r}.")
        with self._write("study", study) as connection:
            if _held(connection, study, number, worker) == "taken":
                connection.execute(
                    update(TICKETS).where(_is(study, number)).values(state=state, lease_until=None)
                )

    @effect
    def release_tickets(self, study: str, worker: str, untold: Collection[int] = ()) -> int:
        """Give back what a worker that is known to be dead still holds, before its leases end.

        So is what it spent on the trials in `untold`: it died before it told the study of them.
        """
        with self._write("study", study) as connection:
            held = or_(TICKETS.c.state == "taken", TICKETS.c.trial_number.in_(list(untold)))
            return _free(
                connection, and_(TICKETS.c.study == study, TICKETS.c.worker == worker, held)
            )

    @effect
    def orphaned_trials(self, study: str, now: dt.datetime) -> list[int]:
        """Trials of dead workers, each reported to one caller once: tell the study they failed.

        A caller that dies before it could leaves a trial that runs on no ticket: `tickets` shows
        which trials do.
        """
        unreported = ORPHANS.c.study == study, ORPHANS.c.reported_at.is_(None)
        with self._write("study", study) as connection:
            _free(connection, _expired(study, now))
            trials = list(connection.scalars(select(ORPHANS.c.trial_number).where(*unreported)))
            connection.execute(update(ORPHANS).where(*unreported).values(reported_at=now))
        return sorted(trials)

    @read
    def tickets(self, study: str) -> list[Ticket]:
        """All tickets of a study by number; none where it was never opened."""
        statement = select(TICKETS).where(TICKETS.c.study == study).order_by(TICKETS.c.number)
        with self._read() as connection:
            return [Ticket(**row) for row in connection.execute(statement).mappings()]


def _is(study: str, number: int) -> ColumnElement[bool]:
    return and_(TICKETS.c.study == study, TICKETS.c.number == number)


def _expired(study: str, now: dt.datetime) -> ColumnElement[bool]:
    return and_(TICKETS.c.study == study, TICKETS.c.state == "taken", TICKETS.c.lease_until <= now)


def _any_ended(connection: Connection, study: str) -> bool:
    ended = TICKETS.c.study == study, TICKETS.c.state.not_in(("free", "taken"))
    return connection.execute(select(TICKETS.c.number).where(*ended).limit(1)).first() is not None


def _free(connection: Connection, which: ColumnElement[bool]) -> int:
    """Take tickets from their holders; their trials become orphans."""
    rows = connection.execute(select(TICKETS).where(which)).mappings().all()
    orphans = [
        {"study": row["study"], "trial_number": row["trial_number"]}
        for row in rows
        if row["trial_number"] is not None
    ]
    if orphans:
        connection.execute(insert(ORPHANS), orphans)
    if rows:
        connection.execute(
            update(TICKETS)
            .where(which)
            .values(state="free", worker=None, lease_until=None, trial_number=None)
        )
    return len(rows)


def _held(connection: Connection, study: str, number: int, worker: str) -> str:
    """The ticket's state, if it is (or was last) this worker's."""
    row = connection.execute(select(TICKETS).where(_is(study, number))).first()
    if row is None or row.worker != worker:
        seen = "does not exist" if row is None else f"is held by {row.worker or 'nobody'}"
        raise LeaseLost(
            f"Ticket {number} of study {study} {seen}, not by {worker}: its lease ran out and it "
            "was handed out again. This trial does not count; tell the study that it failed."
        )
    return str(row.state)
