"""Plain SQL against an installation's databases, beside the code that writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from include.evergreen.stages.resources import Resources

_NOT_THERE = ("no such table", "does not exist")


def ledger(resources: Resources, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the ledger, wherever it is."""
    return query(resources.settings.ledger_url, sql)


def mlflow(resources: Resources, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the MLflow server's own database, which lies in the home of every test."""
    return query(f"sqlite:///{resources.settings.home / 'mlflow' / 'mlflow.db'}", sql)


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a database; none where it, or the table, is not there yet. SQLite is only read."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if not Path(str(parsed.database)).exists():
            return []
        parsed = make_url(f"sqlite:///file:{parsed.database}?mode=ro&uri=true")
    elif "+" not in parsed.drivername:
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]
    except (OperationalError, ProgrammingError) as error:
        if any(words in str(error) for words in _NOT_THERE):
            return []
        raise
