"""Airflow's own database, and how many schedulers share it: SQLite and one, PostgreSQL and more.

`EVERGREEN_AIRFLOW_DATABASE` and `EVERGREEN_SCHEDULERS`, of the shell that `make up` is called in.
Airflow's own variable is not asked: in a shell that was set up for another Airflow it names that
one's database, and this stack would upgrade it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from include.evergreen.errors import SettingsError

DATABASE = "EVERGREEN_AIRFLOW_DATABASE"
SCHEDULERS = "EVERGREEN_SCHEDULERS"
MOST_SCHEDULERS = 8
#: Speaks for Airflow's synchronous and asynchronous code; requirements.txt has no other.
_DRIVER = "postgresql+psycopg"
_SCHEMES = ("postgres", "postgresql")
_ASYNC = "SQL_ALCHEMY_CONN_ASYNC"


@dataclass(frozen=True)
class Metadata:
    """One database. The URL may carry a login and is never shown."""

    url: str = field(repr=False)
    schedulers: int

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite:")

    def variables(self) -> dict[str, str]:
        """What tells Airflow of it. Airflow derives the asynchronous URL of SQLite by itself."""
        names = ["SQL_ALCHEMY_CONN"] if self.is_sqlite else ["SQL_ALCHEMY_CONN", _ASYNC]
        return {f"AIRFLOW__DATABASE__{name}": self.url for name in names}

    @property
    def digest(self) -> str:
        """Tells one database from another, whoever logs in; '' for the file of the home."""
        if self.is_sqlite:
            return ""
        url = urlsplit(self.url)
        place = f"{url.netloc.rpartition('@')[2]}{url.path}?{url.query}"
        return hashlib.sha256(place.encode()).hexdigest()


def metadata(home: Path, environ: Mapping[str, str]) -> Metadata:
    """The database that the environment names, by default a SQLite file under the home folder.

    Raises:
        SettingsError: it is no PostgreSQL, or more schedulers are asked for than it can bear.
    """
    written = environ.get(DATABASE, "")
    schedulers = _count(environ.get(SCHEDULERS) or "1")
    if not written:
        if schedulers > 1:
            raise SettingsError(
                f"{SCHEDULERS} is {schedulers}, but Airflow's database is SQLite, which bears one "
                f"scheduler. Name a PostgreSQL database in {DATABASE}."
            )
        return Metadata(f"sqlite:///{home / 'airflow' / 'airflow.db'}", schedulers)
    return Metadata(_postgresql(written), schedulers)


def _postgresql(written: str) -> str:
    url = urlsplit(written)
    if url.scheme.split("+")[0] not in _SCHEMES or not url.path.strip("/"):
        raise SettingsError(
            f"{DATABASE} is no URL of a PostgreSQL database; write "
            "postgresql://user:password@host/database."
        )
    return f"{_DRIVER}{written[len(url.scheme) :]}"


def _count(written: str) -> int:
    count = int(written) if written.isascii() and written.isdigit() else 0
    if not 1 <= count <= MOST_SCHEDULERS:
        raise SettingsError(
            f"{SCHEDULERS} is {written!r}; a number from 1 to {MOST_SCHEDULERS} is expected."
        )
    return count
