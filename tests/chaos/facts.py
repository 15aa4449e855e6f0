"""What must be the same in the end, whatever died on the way: no times, no pids, no tries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import polars as pl

from include.evergreen.stages.resources import Resources
from tests.chaos import databases

#: What makes a row of each table the same row.
ROW = {
    "rows": ("_file_digest", "_row_number"),
    "labels": ("_file_digest", "_row_number"),
    "quarantine": ("_file_digest", "_row_number", "_status", "_rule"),
    "requests": ("request_id", "ride"),
}

#: Entries of the journal that a later run makes again.
_OF_AN_ATTEMPT = {"proposed", "approved", "superseded"}


def facts(resources: Resources) -> dict[str, Any]:
    """Everything that a crash may not change, as JSON."""
    return {
        **{f"lake {table}": table_facts(resources, table) for table in ROW},
        **ledger_facts(resources),
        **registry_facts(resources),
    }


class Unreadable(Exception):
    """A table of the lake cannot be read as it is named."""


def read_table(resources: Resources, table: str) -> pl.DataFrame | None:
    """All rows of a table; None where there is no such table.

    Raises:
        Unreadable: a file it names is gone or torn.
    """
    try:
        if resources.lake.version(resources.model, table) is None:
            return None
        return resources.lake.scan(resources.model, table).collect()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # polars panics, which is no Exception, on a file that was cut
        raise Unreadable(f"{error!r:.200}") from error


def table_facts(resources: Resources, table: str) -> list[Any]:
    """How many rows a table has, and a digest over which."""
    try:
        frame = read_table(resources, table)
    except Unreadable as error:
        return [str(error)]
    if frame is None:
        return [0, ""]
    rows = sorted(map(repr, frame.select(ROW[table]).rows()))
    return [len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]]


def ledger_facts(resources: Resources) -> dict[str, Any]:
    queries = {
        "files": "SELECT digest, state, rows_appended, rows_quarantined FROM evergreen_files",
        "landed": "SELECT uri FROM evergreen_landed",
        "requests to retrain": "SELECT cause, outcome FROM evergreen_requests",
        "trainings": "SELECT key, state, version FROM evergreen_trainings",
        "deployments": "SELECT version, environment, state FROM evergreen_deployments",
        "journal": "SELECT event FROM evergreen_journal WHERE event NOT LIKE 'deployment:%'",
        "segments": "SELECT rows FROM evergreen_segments",
        "looks": "SELECT DISTINCT verdict FROM evergreen_drift_reports",
    }
    found = {
        name: sorted(map(list, databases.ledger(resources, sql)), key=repr)
        for name, sql in queries.items()
    }
    return {**found, "journal": told(event for (event,) in found["journal"])}


def told(events: Iterable[str]) -> list[list[str]]:
    """Events of the journal without what tells an attempt from another: digests, ids, times.

    A run that comes after one that died proposes anew, and that is told; all else is told once.
    """
    seen = []
    for event in events:
        kind, about, *rest = event.split(":")
        if kind == "retired":
            seen.append(kind)
        elif about.startswith("v"):
            seen.append(":".join([kind, about, *rest[1:]]))
        else:
            seen.append(event)
    again = {event for event in seen if event.partition(":")[0] in _OF_AN_ATTEMPT}
    return sorted([event] for event in [*(e for e in seen if e not in again), *again])


def registry_facts(resources: Resources) -> dict[str, Any]:
    versions = databases.mlflow(
        resources,
        "SELECT version, value FROM model_version_tags WHERE key = 'evergreen.training_key'",
    )
    aliases = databases.mlflow(resources, "SELECT alias, version FROM registered_model_aliases")
    return {"versions": sorted(map(list, versions)), "aliases": sorted(map(list, aliases))}


def duplicated(frame: pl.DataFrame, names: list[str]) -> int:
    """Rows that repeat another in these columns."""
    return frame.height - frame.unique(subset=names).height
