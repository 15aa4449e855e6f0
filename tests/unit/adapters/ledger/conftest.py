"""A ledger for each test, on SQLite and on a PostgreSQL of our own where its programs are found."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.evergreen.adapters.ledger import Ledger, open_ledger

MIGRATED = "evergreen_migrated"


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    initdb = found[-1] if found else shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _unprivileged() -> dict[str, object]:
    """PostgreSQL refuses to run as root, so root lends it another user."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a fresh cluster (without a database name), stopped and deleted at the end."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs are not installed: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg, of requirements-dev.txt, is not installed")
    who = _unprivileged()
    folder = tempfile.mkdtemp(prefix="evergreen-postgresql-")
    if who:
        os.chown(folder, who["user"], who["group"])

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **who)

    cluster = f"{folder}/cluster"
    run(programs / "initdb", "-D", cluster, "-U", "evergreen", "-A", "trust", "-N", "-E", "UTF8")
    settings = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=40"
    control = programs / "pg_ctl", "-D", cluster, "-w"
    run(*control, "-l", f"{folder}/log", "-o", settings, "start")
    try:
        yield f"postgresql://evergreen@/{{database}}?host={folder}"
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql_template(postgresql: str) -> str:
    """The cluster with a database in it that is migrated already, to copy from."""
    _execute(postgresql, f"CREATE DATABASE {MIGRATED}")
    ledger = Ledger(postgresql.format(database=MIGRATED))
    ledger.migrate()
    ledger.close()
    return postgresql


def _execute(cluster: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(cluster.format(database="postgres"), autocommit=True) as connection:
        connection.execute(statement)


def _new_database(cluster: str, template: str) -> str:
    name = f"test_{uuid.uuid4().hex}"
    _execute(cluster, f"CREATE DATABASE {name} TEMPLATE {template}")
    return cluster.format(database=name)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
    return _new_database(request.getfixturevalue("postgresql"), "template0")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A migrated ledger with nothing in it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'home' / 'ledger.db'}"
    else:
        url = _new_database(request.getfixturevalue("postgresql_template"), MIGRATED)
    opened = open_ledger(url)
    yield opened
    opened.close()
