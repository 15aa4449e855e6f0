"""The gate on real rows: silent on shuffled ones, loud on the faults that happen."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.evergreen.contracts import DriftVerdict
from include.evergreen.policy.drift import decide_drift
from include.evergreen.simulator import simulate_bike, simulate_electricity
from include.evergreen.spec import ModelSpec, Monitoring, load_spec
from include.evergreen.stages.monitoring.drift_statistics import column_plans, measure_column

FILES = {
    "bike_demand": "bike_sharing_hourly.csv.gz",
    "electricity": "electricity_half_hourly.csv.gz",
}
WINDOWS = 200


Stream = tuple[ModelSpec, pl.DataFrame]


@pytest.fixture(scope="module")
def streams(project_root: Path, shared_data: Path | None) -> dict[str, Stream]:
    """Each model's spec with the default methods and thresholds, and its rows."""
    found = {}
    for model, file in FILES.items():
        spec = load_spec(project_root / "include" / "models" / f"{model}.yaml")
        spec = spec.model_copy(update={"monitoring": Monitoring(ignore=spec.monitoring.ignore)})
        if shared_data is not None:
            rows = pl.read_csv(shared_data / file)
        elif model == "bike_demand":
            rows = simulate_bike(dt.date(2011, 1, 1), 365, seed=3)
        else:
            rows = simulate_electricity(dt.date(1996, 5, 7), 365, seed=3)
        found[model] = (spec, rows)
    return found


def verdict(spec: ModelSpec, reference: pl.DataFrame, current: pl.DataFrame) -> DriftVerdict:
    measured = [
        measurement
        for plan in column_plans(spec)
        for measurement in measure_column(reference[plan.name], current[plan.name], plan)
    ]
    return decide_drift(
        measured,
        rows_reference=reference.height,
        rows_current=current.height,
        min_drifted_columns=1,
    )


def shuffled(rows: pl.DataFrame, size: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    order = np.random.default_rng(seed).permutation(rows.height)
    return rows[order[: rows.height // 2]], rows[order[-size:]]


@pytest.mark.parametrize("size", [30, 300])
@pytest.mark.parametrize("model", sorted(FILES))
def test_shuffled_rows_hardly_ever_alarm(streams: dict[str, Stream], model: str, size: int):
    spec, rows = streams[model]
    alarms = [
        seen.drifted_columns
        for seed in range(WINDOWS)
        if (seen := verdict(spec, *shuffled(rows, size, seed))).verdict == "drift"
    ]
    # At a true rate of 1% more than 6 of 200 come once in 230 times; the seeds are fixed.
    assert len(alarms) <= 6, alarms


def null_burst(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    hit = pl.int_range(pl.len()) % 8 == 0
    return rows.with_columns(pl.when(~hit).then(pl.col(column)).alias(column))


def unit_change(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.with_columns(pl.col(column) * 1.8 + 0.32)


def swap(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """The two commonest values change their names."""
    first, second = rows[column].value_counts(sort=True)[column].head(2)
    return rows.with_columns(pl.col(column).replace({first: second, second: first}))


def new_category(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    hit = pl.int_range(pl.len()) % 8 == 0
    return rows.with_columns(pl.when(hit).then(99).otherwise(pl.col(column)).alias(column))


def stuck(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.with_columns(pl.lit(rows[column][0]).alias(column))


FAULTS = [
    ("bike_demand", null_burst, "hum"),
    ("bike_demand", unit_change, "temp"),
    ("bike_demand", swap, "weathersit"),
    ("bike_demand", swap, "workingday"),
    ("bike_demand", new_category, "weathersit"),
    ("bike_demand", stuck, "hum"),
    ("electricity", null_burst, "transfer"),
    ("electricity", unit_change, "nswdemand"),
    ("electricity", stuck, "vicdemand"),
]


@pytest.mark.parametrize(("model", "fault", "column"), FAULTS)
def test_a_fault_in_one_column_is_found_in_every_window_of_300_rows(
    streams: dict[str, Stream],
    model: str,
    fault: Callable[[pl.DataFrame, str], pl.DataFrame],
    column: str,
):
    spec, rows = streams[model]
    found = [
        column in verdict(spec, reference, fault(current, column)).drifted_columns
        for reference, current in (shuffled(rows, 300, seed) for seed in range(20))
    ]
    assert all(found), f"{sum(found)} of {len(found)} windows"


def test_spring_is_not_winter(streams: dict[str, Stream]):
    spec, rows = streams["bike_demand"]
    seen = verdict(spec, rows[:2000], rows[2800:4300])
    assert {"temp", "atemp"} <= set(seen.drifted_columns)
