"""A PostgreSQL cluster of the tests' own: real, empty, on a socket, gone when the block ends."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

MISSING = "PostgreSQL's programs are not installed: apt-get install postgresql"
_SETTINGS = "-c listen_addresses= -c fsync=off -c max_connections=120"


@dataclass(frozen=True)
class Cluster:
    """A server that `start` and `stop` may be called on at any time; one user, no password."""

    folder: Path
    programs: Path
    who: dict[str, Any]

    def url(self, database: str) -> str:
        return f"postgresql://evergreen@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, outside a transaction; its rows, if it has any."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, template: str = "template0") -> str:
        """The name of a database that nobody else has: an empty one, or a copy of `template`."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def start(self) -> None:
        """Returns when it answers."""
        options = f"-k {self.folder} {_SETTINGS}"
        self._control("-l", f"{self.folder}/log", "-o", options, "start")

    def stop(self) -> None:
        """At once and without a checkpoint, as if it had crashed; what was committed stays."""
        self._control("-m", "immediate", "stop")

    def _control(self, *arguments: str) -> None:
        self.run("pg_ctl", "-D", f"{self.folder}/cluster", "-w", *arguments)

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            **self.who,
        )

    def is_running(self) -> bool:
        return (self.folder / "cluster" / "postmaster.pid").exists()


@contextmanager
def running() -> Iterator[Cluster]:
    """A started cluster, stopped and deleted afterwards. Skips the test where there is none."""
    programs = _programs()
    if programs is None:
        pytest.skip(MISSING)
    who = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="evergreen-postgresql-"))  # a socket's path is short
    if who:
        os.chown(folder, who["user"], who["group"])
    cluster = Cluster(folder, programs, who)
    try:
        place = ("-D", f"{folder}/cluster", "-U", "evergreen")
        cluster.run("initdb", *place, "-A", "trust", "-N", "-E", "UTF8")
        cluster.start()
        yield cluster
    finally:
        if cluster.is_running():
            cluster.stop()
        shutil.rmtree(folder)


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    initdb = found[-1] if found else shutil.which("initdb")
    return Path(initdb).parent if initdb else None


def _unprivileged() -> dict[str, Any]:
    """PostgreSQL refuses to run as root, so root lends it another user."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
