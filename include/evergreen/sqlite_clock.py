"""Gives SQLite's `now()` fractions of a second, in Airflow's own queries.

Airflow asks the database which runs are due (`run_after <= now()`). SQLite answers in whole
seconds, so that a run made at 12:00:00.1 starts at 12:00:01: half a second lost at the start of
each run, three times between a file and its model. Other databases are not touched.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import functions

#: As SQLAlchemy writes a DateTime in SQLite; SQLite knows milliseconds.
NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


@compiles(functions.now, "sqlite")
def _now_in_milliseconds(element: Any, compiler: Any, **options: Any) -> str:
    del element, compiler, options
    return NOW
