"""A ledger for each test, on SQLite and on a PostgreSQL of our own where its programs are found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen.adapters.ledger import Ledger, open_ledger
from tests import postgres

MIGRATED = "evergreen_migrated"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Cluster]:
    """A fresh cluster, stopped and deleted at the end."""
    with postgres.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgresql_template(postgresql: postgres.Cluster) -> postgres.Cluster:
    """The cluster with a database in it that is migrated already, to copy from."""
    postgresql.execute(f"CREATE DATABASE {MIGRATED}")
    ledger = Ledger(postgresql.url(MIGRATED))
    ledger.migrate()
    ledger.close()
    return postgresql


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
    cluster = request.getfixturevalue("postgresql")
    return str(cluster.url(cluster.new_database()))


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A migrated ledger with nothing in it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
    else:
        cluster = request.getfixturevalue("postgresql_template")
        url = cluster.url(cluster.new_database(MIGRATED))
    opened = open_ledger(url)
    yield opened
    opened.close()
