"""At most one deployment of a model is live in an environment, and one is its warm spare; the
switch is one transaction.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, insert, select, update

from include.evergreen.adapters.ledger import journal_entries
from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.journal import append
from include.evergreen.adapters.ledger.records import DeploymentRecord, DeploymentState
from include.evergreen.adapters.ledger.schema import DEPLOYMENTS, IMAGES
from include.evergreen.contracts import BuiltImage, Deployment, JournalEntry, RunningService
from include.evergreen.effects import effect, read
from include.evergreen.errors import LeaseLost, LedgerConflict

#: What a deployment in each state may still become; what is over stays as it is.
_NEXT: dict[str, frozenset[str]] = {
    "starting": frozenset({"live", "failed", "stopped"}),
    "live": frozenset({"failed", "stopped"}),
    "spare": frozenset({"stopping", "failed", "stopped"}),
    "stopping": frozenset({"failed", "stopped"}),
    "stopped": frozenset(),
    "failed": frozenset(),
}


class Deployments(Store):
    """Images built, services started, and which of them answers."""

    @effect
    def record_image(self, image: BuiltImage, now: dt.datetime) -> None:
        """Remember the image of a version; one built later takes its place."""
        values = {"image": image.as_json(), "built_at": now}
        with self._write("image", image.model) as connection:
            statement = update(IMAGES).where(
                IMAGES.c.model == image.model,
                IMAGES.c.version == image.version,
                IMAGES.c.runtime == image.runtime,
            )
            if connection.execute(statement.values(**values)).rowcount == 0:
                key = {"model": image.model, "version": image.version, "runtime": image.runtime}
                connection.execute(insert(IMAGES).values(**key, **values))

    @read
    def image(self, model: str, version: int, runtime: str) -> BuiltImage | None:
        """The image recorded for a version; that it still exists is for the runtime to say."""
        statement = select(IMAGES.c.image).where(
            IMAGES.c.model == model, IMAGES.c.version == version, IMAGES.c.runtime == runtime
        )
        with self._read() as connection:
            document = connection.execute(statement).scalar()
        return None if document is None else BuiltImage.from_json(document)

    @effect
    def begin_deployment(
        self,
        model: str,
        version: int,
        environment: str,
        service_name: str,
        now: dt.datetime,
        *,
        run: str = "",
    ) -> int:
        """The id of the deployment about to start; one begun before and not over is resumed.

        One that was begun before the deployment now live is not resumed: it fails as superseded.
        """
        place = DEPLOYMENTS.c.model == model, DEPLOYMENTS.c.environment == environment
        with self._write("deployments", model, environment) as connection:
            live = connection.execute(
                select(DEPLOYMENTS.c.id).where(*place, DEPLOYMENTS.c.state == "live")
            ).scalar()
            statement = (
                select(DEPLOYMENTS.c.id)
                .where(
                    *place,
                    DEPLOYMENTS.c.version == version,
                    DEPLOYMENTS.c.service_name == service_name,
                    DEPLOYMENTS.c.state == "starting",
                )
                .order_by(DEPLOYMENTS.c.id.desc())
            )
            for number in connection.scalars(statement).all():
                if live is None or number > live:
                    return int(number)
                reason = f"superseded: deployment {live} became live meanwhile"
                _set(connection, number, state="failed", reason=reason, ended_at=now)
                standing = _live_version(connection, model, environment)
                _tell(connection, int(number), None, run, now, before=standing)
            result = connection.execute(
                insert(DEPLOYMENTS).values(
                    model=model,
                    version=version,
                    environment=environment,
                    service_name=service_name,
                    state="starting",
                    reason="",
                    checks=[],
                    begun_at=now,
                )
            )
            (number,) = result.inserted_primary_key or (0,)
            return int(number)

    @effect
    def record_service(self, deployment_id: int, service: RunningService, now: dt.datetime) -> None:
        """Remember the service of a deployment that is not over.

        Raises:
            LeaseLost: the deployment is over; the service is nobody's and must be removed.
        """
        del now
        with self._alone_with(deployment_id) as (connection, row):
            if not _NEXT[row["state"]]:
                raise _over(row, "a service is no longer wanted")
            _set(connection, deployment_id, service=service.as_json())

    @effect
    def finish_deployment(
        self,
        deployment_id: int,
        state: Literal["live", "failed", "stopped"],
        reason: str,
        checks: Iterable[dict[str, Any]],
        now: dt.datetime,
        *,
        replaced: Literal["stopping", "spare"] = "stopping",
        why_replaced: str = "",
        run: str = "",
        entry: JournalEntry | None = None,
    ) -> None:
        """Move a deployment on; the state it has already is a no-op.

        `live` makes the one that was live in its environment `stopping`, or its `spare`, in the
        same transaction, and is refused to one begun before it. A spare from before is `stopping`
        then. `why_replaced` stands as the reason of the one that was live; empty keeps its own. So
        is the journal's entry made: the `entry` given, or that of what staging came to, told by
        `run`.

        Raises:
            LeaseLost: the deployment is over, or a later one is live.
            LedgerConflict: it has no service, so it cannot be live.
        """
        with self._alone_with(deployment_id) as (connection, row):
            if row["state"] == state:
                return
            if state not in _NEXT[row["state"]]:
                raise _over(row, f"it cannot become {state}")
            values: dict[str, Any] = {"state": state, "reason": reason}
            if (seen := list(checks)) or state != "stopped":
                values["checks"] = seen  # stopping later does not erase how it proved itself
            before = _live_version(connection, row["model"], row["environment"])
            if state == "live":
                _step_aside(connection, row, replaced, why_replaced)
                _set(connection, deployment_id, **values, live_at=now)
            else:
                _set(connection, deployment_id, **values, ended_at=now)
            _tell(connection, deployment_id, entry, run, now, before=before)

    @effect
    def let_spare_go(self, model: str, environment: str) -> None:
        """The spare of an environment is wanted no more: `stopping`. None there is a no-op."""
        with self._write("deployments", model, environment) as connection:
            _stop_spares(connection, model, environment)

    @read
    def deployment(self, model: str, environment: str) -> Deployment | None:
        """What answers in an environment; None if nothing does."""
        statement = select(DEPLOYMENTS).where(
            DEPLOYMENTS.c.model == model,
            DEPLOYMENTS.c.environment == environment,
            DEPLOYMENTS.c.state == "live",
        )
        with self._read() as connection:
            row = connection.execute(statement).mappings().first()
        if row is None:
            return None
        return Deployment(
            model=row["model"],
            version=row["version"],
            environment=row["environment"],
            service=RunningService.from_json(row["service"]),
            deployed_at=row["live_at"].isoformat(),
        )

    @read
    def deployments(
        self,
        model: str,
        states: Iterable[DeploymentState] | None = None,
        environment: str | None = None,
    ) -> list[DeploymentRecord]:
        """A model's deployments in the given states (all of them: None), newest first.

        Args:
            model: whose they are.
            states: in which they are.
            environment: where; None: in each.
        """
        statement = select(DEPLOYMENTS).where(DEPLOYMENTS.c.model == model)
        if states is not None:
            statement = statement.where(DEPLOYMENTS.c.state.in_(list(states)))
        if environment is not None:
            statement = statement.where(DEPLOYMENTS.c.environment == environment)
        with self._read() as connection:
            rows = connection.execute(statement.order_by(DEPLOYMENTS.c.id.desc())).mappings().all()
        return [_record(row) for row in rows]

    @read
    def service_of(self, deployment_id: int) -> RunningService | None:
        """The service recorded for a deployment; None if it never came to one."""
        with self._read() as connection:
            document = _known(connection, deployment_id)["service"]
        return None if document is None else RunningService.from_json(document)

    @contextmanager
    def _alone_with(self, deployment_id: int) -> Iterator[tuple[Connection, RowMapping]]:
        """A transaction that no other on the same model and environment overlaps."""
        with self._read() as connection:
            row = _known(connection, deployment_id)
        with self._write("deployments", row["model"], row["environment"]) as connection:
            yield connection, _known(connection, deployment_id)


def _known(connection: Connection, deployment_id: int) -> RowMapping:
    statement = select(DEPLOYMENTS).where(DEPLOYMENTS.c.id == deployment_id)
    row = connection.execute(statement).mappings().first()
    if row is None:
        raise LedgerConflict(
            f"The ledger knows no deployment {deployment_id}; begin_deployment comes first."
        )
    return row


def _set(connection: Connection, deployment_id: int, **values: Any) -> None:
    connection.execute(
        update(DEPLOYMENTS).where(DEPLOYMENTS.c.id == deployment_id).values(**values)
    )


def _live_version(connection: Connection, model: str, environment: str) -> int | None:
    statement = select(DEPLOYMENTS.c.version).where(
        DEPLOYMENTS.c.model == model,
        DEPLOYMENTS.c.environment == environment,
        DEPLOYMENTS.c.state == "live",
    )
    version: int | None = connection.execute(statement).scalar()
    return version


def _tell(
    connection: Connection,
    deployment_id: int,
    entry: JournalEntry | None,
    run: str,
    now: dt.datetime,
    *,
    before: int | None,
) -> None:
    """The journal's entry of what a deployment has just become, where there is one to make."""
    if entry is None:
        row = _known(connection, deployment_id)
        entry = journal_entries.staged(connection, row, run, before=before)
    if entry is not None:
        append(connection, entry, now)


def _step_aside(connection: Connection, row: RowMapping, state: str, why: str) -> None:
    """Make way for `row`: the deployment that is live where it wants to be goes into `state`."""
    if row["service"] is None:
        raise LedgerConflict(
            f"Deployment {row['id']} of {row['model']} has no service, so it cannot be live; "
            "record_service comes first."
        )
    statement = select(DEPLOYMENTS.c.id).where(
        DEPLOYMENTS.c.model == row["model"],
        DEPLOYMENTS.c.environment == row["environment"],
        DEPLOYMENTS.c.state == "live",
    )
    live = connection.execute(statement).scalar()
    if live is None:
        return
    if live > row["id"]:
        raise LeaseLost(
            f"Deployment {row['id']} of {row['model']} was begun before deployment {live}, which "
            f"is live in {row['environment']}: a late one does not replace it. Remove its service."
        )
    _stop_spares(connection, row["model"], row["environment"])
    _set(connection, live, state=state, **({"reason": why} if why else {}))


def _stop_spares(connection: Connection, model: str, environment: str) -> None:
    connection.execute(
        update(DEPLOYMENTS)
        .where(
            DEPLOYMENTS.c.model == model,
            DEPLOYMENTS.c.environment == environment,
            DEPLOYMENTS.c.state == "spare",
        )
        .values(state="stopping")
    )


def _over(row: RowMapping, consequence: str) -> LeaseLost:
    return LeaseLost(
        f"Deployment {row['id']} of {row['model']} v{row['version']} is {row['state']} "
        f"({row['reason'] or 'no reason given'}): {consequence}. Begin a new one."
    )


def _record(row: RowMapping) -> DeploymentRecord:
    service = RunningService.from_json(row["service"]) if row["service"] else None
    return DeploymentRecord(**{**row, "service": service, "checks": tuple(row["checks"])})
