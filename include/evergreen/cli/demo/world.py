"""The simulated city of the demo: which months come next, and in what way the world has moved.

Nothing is remembered between two demos but what the lake and the ledger hold: the timeline goes on
after the newest ingested day. Whether a window is drift is asked of the monitor's own judgement.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from include.evergreen.simulator import simulate_bike
from include.evergreen.simulator.__main__ import add_months
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.monitoring.drift_statistics import column_plans
from include.evergreen.stages.monitoring.drift_window import ROWS, Window
from include.evergreen.stages.monitoring.monitor import judge_window
from include.evergreen.stages.resources import Resources

MODEL = "bike_demand"
SEED = 7
FIRST_DAY = dt.date(2011, 1, 1)
FIRST_MONTHS = 12
WINDOW_MONTHS = 2
FRESH_DAYS = 21
_LOOK_AHEAD_MONTHS = 12


@dataclass(frozen=True)
class Period:
    """Some months of the city. `covariate` moves the weather, `concept` what people do in it."""

    start: dt.date
    days: int
    covariate: float = 0.0
    concept: float = 0.0

    @property
    def name(self) -> str:
        """The same for the same rows, so that a demo that was cut off lands the same file."""
        drift = f"-drift-{self.covariate:g}-{self.concept:g}" if self.has_drift else ""
        return f"rides-{self.start}-{self.days}-days{drift}.csv"

    @property
    def has_drift(self) -> bool:
        return bool(self.covariate or self.concept)

    @property
    def end(self) -> dt.date:
        return self.start + dt.timedelta(days=self.days)

    def following(self, days: int) -> Period:
        """The days right after, in the same world."""
        return Period(self.end, days, self.covariate, self.concept)

    def before_drift(self) -> Period:
        """The same days in the world as it was."""
        return Period(self.start, self.days)

    def rows(self) -> pl.DataFrame:
        return simulate_bike(
            self.start,
            self.days,
            seed=SEED,
            covariate_drift=self.covariate,
            concept_drift=self.concept,
        )


def first_period() -> Period:
    return _months(FIRST_DAY, FIRST_MONTHS)


def newest_day(resources: Resources) -> dt.date | None:
    """The newest day the lake has rows of; None where it has none."""
    if resources.lake.version(resources.model, "rows") is None:
        return None
    time = str(resources.spec.data.time)
    newest = resources.lake.scan(resources.model, "rows").select(pl.col(time).max()).collect()
    found = newest[time][0]
    return found.date() if found is not None else None


def next_drift(resources: Resources, champion: int) -> Period:
    """The next months in a world that has moved, by the judgement of the monitor.

    The earliest of several ways to move that the champion's own training data call drift. People
    change their habits every time: the concept goes back and forth from demo to demo.
    """
    ledger, lake, model = resources.ledger, resources.lake, resources.model
    snapshot = ledger.snapshot_of_version(model, champion)
    day = newest_day(resources)
    if snapshot is None or day is None:
        return Period(add_months(FIRST_DAY, FIRST_MONTHS), 60, 1.0, 1.0)
    reference = lake.get_part(model, snapshot.key, "fitting")
    concept = float(champion % 2)
    for period in _candidates(_next_month(day), concept):
        if _is_drift(resources, reference, period):
            return period
    return _months(_next_month(day), WINDOW_MONTHS, 1.0, concept)


def typed(rows: pl.DataFrame, spec: ModelSpec) -> pl.DataFrame:
    """Simulated rows with the flags of the contract as booleans, as the lake has them."""
    flags = [name for name, column in spec.data.columns.items() if column.type == "boolean"]
    return rows.with_columns(pl.col(flags).cast(pl.Boolean))


def _candidates(start: dt.date, concept: float) -> Iterator[Period]:
    for skipped in range(_LOOK_AHEAD_MONTHS):
        for covariate in (1.0, 0.0):
            yield _months(add_months(start, skipped), WINDOW_MONTHS, covariate, concept)


def _is_drift(resources: Resources, reference: pl.DataFrame, period: Period) -> bool:
    rows = typed(period.rows(), resources.spec)
    window = Window(reference=reference, populations={ROWS: rows}, fresh_rows=rows.height)
    plans = column_plans(resources.spec)
    return judge_window(resources, window, plans).verdict == "drift"


def _next_month(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=1) if _ends_month(day) else add_months(day.replace(day=1), 1)


def _ends_month(day: dt.date) -> bool:
    return (day + dt.timedelta(days=1)).day == 1


def _months(start: dt.date, months: int, covariate: float = 0.0, concept: float = 0.0) -> Period:
    return Period(start, (add_months(start, months) - start).days, covariate, concept)
