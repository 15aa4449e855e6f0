"""Each file is ingested once per content and contract, and no landed file is forgotten."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.records import FileClaim
from include.evergreen.adapters.ledger.schema import FILES, LANDED
from include.evergreen.contracts import FileOutcome
from include.evergreen.effects import effect, read
from include.evergreen.errors import LeaseLost

#: Stands before the fingerprint of a file that could not be read: it equals no fingerprint, so the
#: file stays pending, and its time says when it was tried last.
_UNREAD = "unread:"


class Files(Store):
    """Claims on files, their outcomes, and what of the landing zone has been dealt with."""

    @effect
    def claim_file(
        self,
        model: str,
        digest: str,
        contract_digest: str,
        uri: str,
        kind: str,
        owner: str,
        now: dt.datetime,
        lease_s: float = 600,
    ) -> FileClaim:
        """Exactly one caller at a time gets `new`; a file that is done is `known` for ever.

        A claim whose lease ran out, or whose owner asks again (a retry of a task that was
        killed), is given anew under a higher fence: the earlier holder can finish nothing.
        """
        lease_until = now + dt.timedelta(seconds=lease_s)
        claim = {"uri": uri, "kind": kind, "owner": owner}
        claim_times = {"claimed_at": now, "lease_until": lease_until}
        key = {"model": model, "digest": digest, "contract_digest": contract_digest}
        with self._write("file", model, digest, contract_digest) as connection:
            row = connection.execute(select(FILES).where(_is(**key))).mappings().first()
            if row is None:
                connection.execute(insert(FILES).values(**key, **claim, **claim_times, fence=1))
                return FileClaim(1, "new")
            if row["state"] is not None:
                return FileClaim(row["fence"], "known", FileOutcome.from_json(row["outcome"]))
            if row["owner"] != owner and row["lease_until"] > now:
                return FileClaim(row["fence"], "busy")
            fence = row["fence"] + 1
            connection.execute(
                update(FILES).where(_is(**key)).values(**claim, **claim_times, fence=fence)
            )
            return FileClaim(fence, "new")

    @effect
    def renew_file(
        self,
        model: str,
        digest: str,
        contract_digest: str,
        fence: int,
        now: dt.datetime,
        lease_s: float = 600,
    ) -> None:
        """Keep a claim alive while a long file is read.

        Raises:
            LeaseLost: somebody else has taken the file over.
        """
        with self._write("file", model, digest, contract_digest) as connection:
            _check_fence(connection, model, digest, contract_digest, fence)
            connection.execute(
                update(FILES)
                .where(_is(model, digest, contract_digest))
                .values(lease_until=now + dt.timedelta(seconds=lease_s))
            )

    @effect
    def finish_file(
        self,
        model: str,
        digest: str,
        contract_digest: str,
        fence: int,
        outcome: FileOutcome,
        data_version: int,
        now: dt.datetime,
    ) -> None:
        """Record what became of a claimed file; a second time under the same fence is a no-op.

        Raises:
            LeaseLost: somebody else has taken the file over; nothing is recorded.
        """
        with self._write("file", model, digest, contract_digest) as connection:
            if _check_fence(connection, model, digest, contract_digest, fence):
                return
            connection.execute(
                update(FILES)
                .where(_is(model, digest, contract_digest))
                .values(
                    state=outcome.state,
                    outcome=outcome.as_json(),
                    rows_appended=outcome.rows_appended,
                    rows_quarantined=outcome.rows_quarantined,
                    data_version=data_version,
                    finished_at=now,
                )
            )

    @effect
    def acknowledge_landed(
        self, model: str, uri: str, fingerprint: str, digest: str, now: dt.datetime
    ) -> None:
        """The file at `uri`, as it was at `fingerprint`, needs no further look."""
        self._look(model, uri, fingerprint, digest, now)

    @effect
    def postpone_landed(self, model: str, uri: str, fingerprint: str, now: dt.datetime) -> None:
        """The file at `uri` could not be read now: it stays pending, behind all others."""
        self._look(model, uri, _UNREAD + fingerprint, "", now)

    @read
    def postponed(self, model: str) -> dict[tuple[str, str], dt.datetime]:
        """When each file that could not be read was last tried, by its address and fingerprint."""
        statement = select(LANDED.c.uri, LANDED.c.fingerprint, LANDED.c.acknowledged_at).where(
            LANDED.c.model == model, LANDED.c.fingerprint.like(f"{_UNREAD}%")
        )
        with self._read() as connection:
            return {
                (row.uri, row.fingerprint.removeprefix(_UNREAD)): row.acknowledged_at
                for row in connection.execute(statement)
            }

    def _look(self, model: str, uri: str, fingerprint: str, digest: str, now: dt.datetime) -> None:
        values = {"fingerprint": fingerprint, "digest": digest, "acknowledged_at": now}
        place = and_(LANDED.c.model == model, LANDED.c.uri == uri)
        with self._write("landed", model, uri) as connection:
            if connection.execute(update(LANDED).where(place).values(**values)).rowcount == 0:
                connection.execute(insert(LANDED).values(model=model, uri=uri, **values))

    @read
    def acknowledged(self, model: str) -> dict[str, str]:
        """The fingerprint under which each landed file was last dealt with, by its address."""
        statement = select(LANDED.c.uri, LANDED.c.fingerprint).where(
            LANDED.c.model == model,
            LANDED.c.fingerprint.not_like(f"{_UNREAD}%"),
        )
        with self._read() as connection:
            return {row.uri: row.fingerprint for row in connection.execute(statement)}

    @read
    def file_outcomes(self, model: str, limit: int = 50) -> list[FileOutcome]:
        """What became of the files that were finished last, newest first."""
        statement = (
            select(FILES.c.outcome)
            .where(FILES.c.model == model, FILES.c.state.is_not(None))
            .order_by(FILES.c.finished_at.desc(), FILES.c.digest)
            .limit(limit)
        )
        with self._read() as connection:
            return [FileOutcome.from_json(outcome) for outcome in connection.scalars(statement)]

    @read
    def rows_ingested(self, model: str) -> int:
        """Rows (not labels) appended for a model, ever."""
        return self._rows(model)

    @read
    def rows_since(self, model: str, data_version: int) -> int:
        """Rows (not labels) appended by commits after this version of the table."""
        return self._rows(model, FILES.c.data_version > data_version)

    def _rows(self, model: str, *conditions: ColumnElement[bool]) -> int:
        statement = select(func.coalesce(func.sum(FILES.c.rows_appended), 0)).where(
            FILES.c.model == model,
            FILES.c.kind == "rows",
            FILES.c.state == "appended",
            *conditions,
        )
        with self._read() as connection:
            return int(connection.execute(statement).scalar_one())


def _is(model: str, digest: str, contract_digest: str) -> ColumnElement[bool]:
    return and_(
        FILES.c.model == model,
        FILES.c.digest == digest,
        FILES.c.contract_digest == contract_digest,
    )


def _check_fence(
    connection: Connection, model: str, digest: str, contract_digest: str, fence: int
) -> bool:
    """Whether the file is finished already; a stale fence raises LeaseLost."""
    statement = select(FILES.c.fence, FILES.c.state, FILES.c.owner).where(
        _is(model, digest, contract_digest)
    )
    row = connection.execute(statement).first()
    if row is None or row.fence != fence:
        seen = "no claim at all" if row is None else f"fence {row.fence}, held by {row.owner}"
        raise LeaseLost(
            f"The claim on file {digest[:12]} of {model} has fence {fence}, and the ledger holds "
            f"{seen}. Another worker took the file over; nothing was recorded for this one."
        )
    return row.state is not None
