"""Brings a ledger to the newest schema exactly once, however many processes start together.

The fast path is one SELECT, before Alembic is even imported: every task opens the ledger.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, Select, Text, column, inspect, select, table
from sqlalchemy.exc import OperationalError, ProgrammingError

from include.evergreen.adapters.ledger import schema
from include.evergreen.adapters.ledger.engine import lock_subject, writing
from include.evergreen.errors import LedgerConflict

MIGRATIONS = Path(__file__).parent / "migrations"
_REVISION: Select[str] = select(column("version_num", Text)).select_from(
    table(schema.VERSION_TABLE)
)


def current_revision(connection: Connection) -> str | None:
    """The revision the database stands at; None where there is no ledger yet."""
    if not inspect(connection).has_table(schema.VERSION_TABLE):
        return None
    return connection.execute(_REVISION).scalar()


def is_current(engine: Engine) -> bool:
    """Whether the ledger stands at the newest revision, with one SELECT."""
    try:
        with engine.connect() as connection:
            return connection.execute(_REVISION).scalar() == schema.HEAD
    except (OperationalError, ProgrammingError):
        return False  # no such table, or no database: `upgrade` finds out which


def upgrade(engine: Engine) -> None:
    """Migrate to the newest revision in one transaction, alone; a no-op where it is reached.

    Raises:
        LedgerConflict: the ledger was written by a newer Evergreen.
    """
    from alembic import command
    from alembic.config import Config

    with _alone(engine), writing(engine) as connection:
        lock_subject(connection, "migration")
        revision = current_revision(connection)
        if revision == schema.HEAD:
            return
        _refuse_newer(revision)
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        command.upgrade(config, "head")


def _refuse_newer(revision: str | None) -> None:
    known = {path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}
    if revision is not None and revision not in known:
        raise LedgerConflict(
            f"The ledger stands at revision {revision}, and this Evergreen knows "
            f"{schema.HEAD} as its newest. Install the Evergreen that wrote it, or a newer one."
        )


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """One process at a time. PostgreSQL needs no more than the lock inside the transaction."""
    if engine.dialect.name != "sqlite":
        yield
        return
    with Path(f"{engine.url.database}.migrate.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go of it when its holder dies
        _switch_to_wal(engine)
        yield


def _switch_to_wal(engine: Engine) -> None:
    """The mode stays in the file. The switch does not wait for other connections: be alone."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def differences(engine: Engine) -> list[str]:
    """What the database lacks of `schema`, or has beyond it, among the ledger's own tables."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def is_ours(name: str | None, kind: str, parents: object) -> bool:
        del parents
        ours = str(name).startswith(schema.PREFIX) and name != schema.VERSION_TABLE
        return kind != "table" or ours

    with engine.connect() as connection:
        options = {"include_name": is_ours, "version_table": schema.VERSION_TABLE}
        context = MigrationContext.configure(connection, opts=options)
        return [str(difference) for difference in compare_metadata(context, schema.METADATA)]
