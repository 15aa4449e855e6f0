"""What happened to a model, in one time-ordered list, for the live view and the UI."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from sqlalchemy import Column, Connection, RowMapping, Table, select

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.records import HistoryRow
from include.evergreen.adapters.ledger.schema import (
    DECISIONS,
    DEPLOYMENTS,
    DRIFT_REPORTS,
    FILES,
    REQUESTS,
    TRAININGS,
)
from include.evergreen.effects import read

_Rows = Iterator[HistoryRow]


class History(Store):
    """Reads across all subjects; writes nothing."""

    @read
    def history(
        self, model: str, limit: int = 50, since: dt.datetime | None = None
    ) -> list[HistoryRow]:
        """The newest `limit` happenings (after `since`), newest first.

        One subject may give several: a deployment begins, is live, and ends.
        """
        with self._read() as connection:
            happenings = [
                row
                for table, moments, describe in _SOURCES
                for row in _read_source(connection, table, moments, describe, model, limit)
                if since is None or row.at > since
            ]
        happenings.sort(key=lambda row: row.at, reverse=True)
        return happenings[:limit]


def _read_source(
    connection: Connection,
    table: Table,
    moments: tuple[Column[dt.datetime], ...],
    describe: Callable[[RowMapping], _Rows],
    model: str,
    limit: int,
) -> _Rows:
    """The happenings of one table: those whose newest moments are among its `limit` newest."""
    seen = set()
    for moment in moments:
        statement = (
            select(table)
            .where(table.c.model == model, moment.is_not(None))
            .order_by(moment.desc())
            .limit(limit)
        )
        for row in connection.execute(statement).mappings():
            identity = tuple(row[column.name] for column in table.primary_key)
            if identity not in seen:
                seen.add(identity)
                yield from describe(row)


def _file(row: RowMapping) -> _Rows:
    outcome = row["outcome"]
    summary = f"{row['kind']} file {outcome['uri'].rsplit('/', 1)[-1]}: {row['state']}"
    summary += f", {row['rows_appended']:,} rows in, {row['rows_quarantined']:,} quarantined"
    yield HistoryRow(row["finished_at"], "file", summary, outcome["reason"])


def _request(row: RowMapping) -> _Rows:
    summary = f"request {row['id']} to retrain: {row['reason']}"
    yield HistoryRow(row["created_at"], "request", summary, row["cause"], row["details"])
    if row["answered_at"] is not None:
        summary = f"request {row['id']} answered: {row['outcome']}"
        yield HistoryRow(row["answered_at"], "answer", summary, row["why"] or "")


def _decision(row: RowMapping) -> _Rows:
    times = f" ({row['count']} times)" if row["count"] > 1 else ""
    summary = f"{row['stage']}: {row['verdict']}{times}"
    yield HistoryRow(row["last_seen"], "decision", summary, row["reason"], row["details"])


def _training(row: RowMapping) -> _Rows:
    name = f"training {row['key'][:12]}"
    parts = row["snapshot"]["rows"]
    rows = parts.get("fitting") or sum(parts.values())  # fitting is all of them, the parts again
    details = {"key": row["key"], "mlflow_run_id": row["mlflow_run_id"]}
    why = row["snapshot"]["reason"]
    yield HistoryRow(row["opened_at"], "training", f"{name} of {rows:,} rows", why, details)
    if row["judged_at"] is not None:
        word = row["judgement"]
        yield HistoryRow(
            row["judged_at"], "judgement", f"{name}: {word['verdict']}", word["reason"], word
        )
    if row["registered_at"] is not None:
        summary = f"{name} registered as version {row['version']}"
        yield HistoryRow(row["registered_at"], "candidate", summary, "", details)
    if row["failed_at"] is not None:
        yield HistoryRow(row["failed_at"], "training", f"{name} failed", row["why"] or "", details)


def _deployment(row: RowMapping) -> _Rows:
    name = f"v{row['version']} in {row['environment']}"
    service = row["service"] or {}
    details = {"id": row["id"], "endpoint": service.get("endpoint", "")}
    yield HistoryRow(row["begun_at"], "deployment", f"{name}: starting", "", details)
    if row["live_at"] is not None:
        why = row["reason"] if row["ended_at"] is None else ""
        yield HistoryRow(row["live_at"], "deployment", f"{name}: live", why, details)
    if row["ended_at"] is not None:
        summary = f"{name}: {row['state']}"
        yield HistoryRow(row["ended_at"], "deployment", summary, row["reason"], details)


def _drift(row: RowMapping) -> _Rows:
    report = row["report"]
    verdict = report["verdict"]
    drifted = dict.fromkeys(c["column"] for c in verdict["columns"] if c["drifted"])
    details = {"drifted": list(drifted), "report_uri": report["report_uri"]}
    version = report["champion_version"]
    champion = "no champion" if version is None else f"v{version}"
    summary = f"{champion}: {verdict['verdict']}"
    yield HistoryRow(row["last_seen"], "drift", summary, verdict["reason"], details)


_SOURCES: tuple[
    tuple[Table, tuple[Column[dt.datetime], ...], Callable[[RowMapping], _Rows]], ...
] = (
    (FILES, (FILES.c.finished_at,), _file),
    (REQUESTS, (REQUESTS.c.created_at, REQUESTS.c.answered_at), _request),
    (DECISIONS, (DECISIONS.c.last_seen,), _decision),
    (
        TRAININGS,
        (
            TRAININGS.c.opened_at,
            TRAININGS.c.judged_at,
            TRAININGS.c.registered_at,
            TRAININGS.c.failed_at,
        ),
        _training,
    ),
    (
        DEPLOYMENTS,
        (DEPLOYMENTS.c.begun_at, DEPLOYMENTS.c.live_at, DEPLOYMENTS.c.ended_at),
        _deployment,
    ),
    (DRIFT_REPORTS, (DRIFT_REPORTS.c.last_seen,), _drift),
)
