"""Which rows are compared: the champion's training rows with what came in since, at fixed versions.

The reference is the frozen part `fitting` of the training that made the champion. What came in
since are ingested rows newer than any it has seen, and the requests this very version served: in
production, or in staging as long as there is no production.
Each of the two that has `min_rows` rows is compared by itself, so that a thousand good rows
never hide a hundred bad requests; where one is too small, both are compared as one. With
`monitoring.window_days` only the newest days of each are compared.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from include.evergreen.adapters.runtime import Environment
from include.evergreen.contracts import Snapshot
from include.evergreen.stages.deploy.services import PRODUCTION, STAGING
from include.evergreen.stages.monitoring.drift_statistics import ColumnPlan
from include.evergreen.stages.monitoring.request_log import served_in
from include.evergreen.stages.resources import Resources

ROWS, REQUESTS = "ingested rows", "served requests"
#: By what a row's age is told: its time, when it was ingested, or when it was served.
AGE = "_age"
#: Columns of the request log that are the service's own, whatever the contract calls its columns.
_SERVICE = frozenset({"request_id", "time", "version", "prediction"})


@dataclass(frozen=True)
class Evidence:
    """What a look is based on: the champion, where it answers, and the version of each table.

    Same: same verdict.
    """

    champion: int
    environment: Environment
    rows: int | None
    requests: int | None
    labels: int | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Window:
    """The rows of one look. `fresh_rows` counts all that came in, compared or not."""

    reference: pl.DataFrame
    populations: dict[str, pl.DataFrame]
    fresh_rows: int

    @property
    def current(self) -> pl.DataFrame:
        """Everything that is compared, ingested rows first."""
        return pl.concat(self.populations.values(), how="diagonal")


def evidence_now(resources: Resources, champion: int) -> Evidence:
    """The newest versions of what a look reads; requests of production, where there is one."""
    lake, model = resources.lake, resources.model
    late = resources.spec.data.labels is not None
    return Evidence(
        champion=champion,
        environment=PRODUCTION if resources.ledger.deployment(model, PRODUCTION) else STAGING,
        rows=lake.version(model, "rows"),
        requests=lake.version(model, "requests"),
        labels=lake.version(model, "labels") if late else None,
    )


def gather_window(
    resources: Resources, snapshot: Snapshot, evidence: Evidence, plans: list[ColumnPlan]
) -> Window:
    """Read the reference and what came in since; only the watched columns."""
    reference = resources.lake.get_part(resources.model, snapshot.key, "fitting")
    rows = _ingested_since(resources, snapshot, evidence, plans)
    requests = _served_by(resources, evidence, plans)
    watch = resources.spec.monitoring
    newest = [_newest(side, watch.window_days).drop(AGE) for side in (rows, requests)]
    return Window(
        reference=reference.select(p.name for p in plans if p.name in reference.columns),
        populations=_populations(newest[0], newest[1], watch.min_rows),
        fresh_rows=rows.height + requests.height,
    )


def _newest(rows: pl.DataFrame, days: float | None) -> pl.DataFrame:
    if days is None:
        return rows
    return rows.filter(pl.col(AGE) > pl.col(AGE).max() - dt.timedelta(days=days))


def _populations(
    rows: pl.DataFrame, requests: pl.DataFrame, min_rows: int
) -> dict[str, pl.DataFrame]:
    if min(rows.height, requests.height) >= min_rows:
        return {ROWS: rows, REQUESTS: requests}
    if rows.height + requests.height < min_rows:
        return {}
    if requests.is_empty():
        return {ROWS: rows}
    if rows.is_empty():
        return {REQUESTS: requests}
    return {f"{ROWS} and {REQUESTS}": pl.concat([rows, requests], how="diagonal")}


def _ingested_since(
    resources: Resources, snapshot: Snapshot, evidence: Evidence, plans: list[ColumnPlan]
) -> pl.DataFrame:
    """Rows the champion has not seen, one a key: the rule by which train finds its holdout."""
    if evidence.rows is None:
        return _none()
    data = resources.spec.data
    rows = resources.lake.scan(resources.model, "rows", evidence.rows)
    if data.time is not None:
        rows = rows.filter(pl.col(data.time) > dt.datetime.fromisoformat(snapshot.seen_until))
    else:
        first = pl.col("_batch").min().over(data.key) if data.key else pl.col("_batch")
        rows = rows.filter(first > int(snapshot.seen_until))
    rows = rows.with_columns(pl.col(data.time or "_ingested_at").alias(AGE))
    rows = rows.sort(AGE, "_batch", "_row_number")
    if data.key is not None:
        rows = rows.unique(subset=[data.key], keep="last", maintain_order=True)
    if data.labels is not None and evidence.labels is not None:
        rows = _with_labels(resources, rows, data.labels.key, evidence.labels)
    return _only(rows, plans)


def _with_labels(resources: Resources, rows: pl.LazyFrame, key: str, version: int) -> pl.LazyFrame:
    target = resources.spec.data.target
    late = resources.lake.latest_labels(resources.model, key, version)
    late = late.select(pl.col(key).cast(pl.String).alias("_key"), pl.col(target).alias("_late"))
    present = target in rows.collect_schema().names()
    label = pl.coalesce("_late", target) if present else pl.col("_late")
    return (
        rows.with_columns(pl.col(str(resources.spec.data.key)).cast(pl.String).alias("_key"))
        .join(late, on="_key", how="left", maintain_order="left")
        .with_columns(label.alias(target))
    )


def _served_by(resources: Resources, evidence: Evidence, plans: list[ColumnPlan]) -> pl.DataFrame:
    if evidence.requests is None:
        return _none()
    requests = served_in(resources, evidence.environment, evidence.requests)
    served = requests.filter(pl.col("version") == evidence.champion).sort("time", "request_id")
    served = served.with_columns(pl.col("time").alias(AGE))
    return _only(served, [plan for plan in plans if plan.name not in _SERVICE])


def _only(rows: pl.LazyFrame, plans: list[ColumnPlan]) -> pl.DataFrame:
    present = rows.collect_schema().names()
    return rows.select(AGE, *(plan.name for plan in plans if plan.name in present)).collect()


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema={AGE: pl.Datetime("us", "UTC")})
