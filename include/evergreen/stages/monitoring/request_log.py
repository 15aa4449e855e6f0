"""The lake's `requests`: what services answered, in which environment."""

from __future__ import annotations

import re
from typing import cast

import polars as pl

from include.evergreen.adapters.runtime import Environment
from include.evergreen.stages.deploy.services import STAGING
from include.evergreen.stages.resources import Resources

#: The column that says where a row was served. Null: before there was a production.
ENVIRONMENT = "_environment"
_SPOOL = re.compile(r"v\d+-(staging|production)")


def environment_of(folder: str) -> Environment | None:
    """Whose spool a folder is, by the name that `order_for` gives it; None of any other name."""
    found = _SPOOL.fullmatch(folder)
    return cast("Environment", found[1]) if found else None


def served_in(
    resources: Resources, environment: Environment, version: int | None = None
) -> pl.LazyFrame:
    """The rows that an environment's services answered, as the table was at `version`.

    Staging is open to everybody on the machine, and its service goes on after a release: what is
    asked there says nothing of production.

    Raises:
        NotInLake: there is no such table, or it never had this version.
    """
    rows = resources.lake.scan(resources.model, "requests", version)
    if ENVIRONMENT not in rows.collect_schema().names():  # none was collected since there is one
        rows = rows.with_columns(pl.lit(None, pl.String).alias(ENVIRONMENT))
    return rows.filter(pl.col(ENVIRONMENT).fill_null(STAGING) == environment)
