"""Connections to the ledger: one writer a subject at a time, on SQLite and PostgreSQL alike.

SQLite is written under BEGIN IMMEDIATE in WAL mode, and its connections live only as long as
one operation, so that none crosses a fork. On PostgreSQL a transaction first takes an advisory
lock named after its subject; two transactions on one subject therefore see each other's work.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, IntegrityError, InterfaceError, OperationalError

from include.evergreen.adapters.ledger.fences import check_held
from include.evergreen.effects import read
from include.evergreen.errors import LedgerConflict, SettingsError, Unavailable

#: How long a writer waits for another before it says that the ledger is not available.
WAIT_S = 30
#: A process stopped in the middle of a transaction loses it after this long (PostgreSQL).
IDLE_TRANSACTION_S = 60

_WRITE = "evergreen_write"
_pooled: weakref.WeakSet[Engine] = weakref.WeakSet()


def make_engine(url: str) -> Engine:
    """An engine for a SQLite file or a PostgreSQL database; anything else is a SettingsError."""
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    return _postgresql_engine(parsed)


class Store:
    """What every part of the ledger stands on: `_read` and `_write` blocks on one engine."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url)

    @property
    def address(self) -> str:
        """The ledger's URL without its password, for messages and logs."""
        return self._engine.url.render_as_string(hide_password=True)

    @read
    def close(self) -> None:
        """Give all connections back. The ledger opens new ones if it is used again."""
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._reachable(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _write(self, *subject: str) -> Iterator[Connection]:
        """A transaction that no other transaction on the same subject overlaps.

        Under a lease (`Leases.under_lease`) it is made only while that stands.
        """
        with self._reachable(), writing(self._engine) as connection:
            lock_subject(connection, *subject)
            check_held(self._engine, connection)
            yield connection

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            raise Unavailable(
                f"The ledger at {self.address} does not answer: {error.orig}. Nothing was "
                "changed; see that the database runs and has room, then clear the task."
            ) from error
        except IntegrityError as error:
            raise LedgerConflict(
                f"The ledger at {self.address} refused what would contradict it: {error.orig}. "
                "Nothing was changed."
            ) from error


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write: SQLite takes its write lock at once."""
    with engine.connect() as plain:
        connection = plain.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection


def lock_subject(connection: Connection, *subject: str) -> None:
    """Wait for other transactions on this subject; SQLite's BEGIN IMMEDIATE has done so already."""
    if connection.dialect.name == "postgresql":
        name = "\x1f".join(("evergreen", *subject)).encode("utf-8", "backslashreplace")
        number = int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)
        connection.execute(select(func.pg_advisory_xact_lock(number)))


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except ArgumentError as error:
        raise SettingsError(
            "The ledger's URL cannot be read; write sqlite:////absolute/path/ledger.db or "
            "postgresql://user:password@host/database in EVERGREEN_LEDGER_URL."
        ) from error
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed
    if backend == "postgresql":
        return parsed if "+" in parsed.drivername else parsed.set(drivername=_postgresql_driver())
    raise SettingsError(
        f"The ledger cannot live in {parsed.render_as_string(hide_password=True)}; it needs a "
        "SQLite file or PostgreSQL. Set EVERGREEN_LEDGER_URL."
    )


def _postgresql_driver() -> str:
    for module in ("psycopg", "psycopg2"):
        if importlib.util.find_spec(module):
            return f"postgresql+{module}"
    raise SettingsError(
        "The ledger is on PostgreSQL, but no driver for it is installed; "
        "run: pip install 'psycopg[binary]'."
    )


def _sqlite_engine(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    del record
    connection.isolation_level = None  # the driver opens no transactions of its own: we do
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql_engine(url: URL) -> Engine:
    limits = {
        "lock_timeout": WAIT_S * 1000,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_S * 1000,
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    engine = create_engine(
        url,
        pool_size=1,
        max_overflow=10,
        pool_pre_ping=True,
        connect_args={"options": options, "connect_timeout": 10},
    )
    _pooled.add(engine)
    return engine


def _forget_parents_connections() -> None:
    """A forked child must not speak over its parent's sockets, nor close them."""
    for engine in list(_pooled):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_parents_connections)
