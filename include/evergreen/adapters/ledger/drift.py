"""Drift reports, how far monitoring has looked, and which served requests are in the lake."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from typing import Any

from sqlalchemy import insert, select, update

from include.evergreen.adapters.ledger.engine import Store
from include.evergreen.adapters.ledger.schema import DRIFT_REPORTS, MONITORED, SEGMENTS
from include.evergreen.contracts import DriftReport
from include.evergreen.effects import effect, read


class Drift(Store):
    """What monitoring has seen."""

    @effect
    def record_drift(self, report: DriftReport, now: dt.datetime) -> None:
        """Keep a report; the very same one again is counted and not repeated."""
        document = report.as_json()
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        same = DRIFT_REPORTS.c.model == report.model, DRIFT_REPORTS.c.digest == digest
        with self._write("drift", report.model) as connection:
            again = update(DRIFT_REPORTS).where(*same)
            again = again.values(count=DRIFT_REPORTS.c.count + 1, last_seen=now)
            if connection.execute(again).rowcount == 0:
                connection.execute(
                    insert(DRIFT_REPORTS).values(
                        model=report.model,
                        digest=digest,
                        verdict=report.verdict.verdict,
                        report=document,
                        count=1,
                        first_seen=now,
                        last_seen=now,
                    )
                )

    @read
    def drift_reports(self, model: str, limit: int = 50) -> list[DriftReport]:
        """The reports seen last, newest first."""
        statement = (
            select(DRIFT_REPORTS.c.report)
            .where(DRIFT_REPORTS.c.model == model)
            .order_by(DRIFT_REPORTS.c.last_seen.desc(), DRIFT_REPORTS.c.id.desc())
            .limit(limit)
        )
        with self._read() as connection:
            return [DriftReport.from_json(report) for report in connection.scalars(statement)]

    @read
    def last_monitored(self, model: str) -> dict[str, Any] | None:
        """Up to where monitoring has looked; None before the first time."""
        statement = select(MONITORED.c.marker).where(MONITORED.c.model == model)
        with self._read() as connection:
            marker: dict[str, Any] | None = connection.execute(statement).scalar()
        return marker

    @effect
    def set_last_monitored(self, model: str, marker: dict[str, Any], now: dt.datetime) -> None:
        """Remember up to where monitoring has looked."""
        values = {"marker": marker, "set_at": now}
        with self._write("monitored", model) as connection:
            statement = update(MONITORED).where(MONITORED.c.model == model).values(**values)
            if connection.execute(statement).rowcount == 0:
                connection.execute(insert(MONITORED).values(model=model, **values))

    @read
    def segment_known(self, model: str, digest: str) -> bool:
        """Whether this segment of served requests is in the lake already."""
        statement = select(SEGMENTS.c.digest).where(
            SEGMENTS.c.model == model, SEGMENTS.c.digest == digest
        )
        with self._read() as connection:
            return connection.execute(statement).first() is not None

    @effect
    def record_segment(self, model: str, digest: str, rows: int, now: dt.datetime) -> None:
        """Remember that a segment of served requests is in the lake; again is a no-op."""
        known = select(SEGMENTS.c.digest).where(
            SEGMENTS.c.model == model, SEGMENTS.c.digest == digest
        )
        with self._write("segments", model) as connection:
            if connection.execute(known).first() is None:
                connection.execute(
                    insert(SEGMENTS).values(model=model, digest=digest, rows=rows, recorded_at=now)
                )
