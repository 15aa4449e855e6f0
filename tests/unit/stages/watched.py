"""A model with a champion whose training rows are frozen, on a real MLflow, lake and ledger."""

import datetime as dt
import shutil
from pathlib import Path

import mlflow
import numpy as np
import polars as pl

from include.evergreen import settings
from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import Candidate, Judgement, Snapshot, TrialBudget
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.resources import Resources

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
TRAINED_ON = 2000

DOCUMENT = {
    "model": "rides",
    "task": "regression",
    "data": {
        "landing": "landing/rides",
        "time": "at",
        "key": "ride",
        "target": "count",
        "columns": {
            "temperature": {"type": "float", "max_null_share": 0.1},
            "weather": {"type": "category", "max_null_share": 0.1},
            "holiday": {"type": "boolean"},
            "count": {"type": "integer"},
        },
    },
    "training": {"metric": "rmse"},
    "monitoring": {"min_rows": 100},
}


def spec(**sections) -> ModelSpec:
    """The spec above with some sections changed, each merged into its own."""
    document = {
        **DOCUMENT,
        **{name: {**DOCUMENT.get(name, {}), **new} for name, new in sections.items()},
    }
    return ModelSpec.model_validate(document)


def ride_rows(first: int, n: int, seed: int = 5, batch_of: str = "f") -> pl.DataFrame:
    """Rows as ingest appends them, one a minute, from the `first` minute on."""
    rng = np.random.default_rng([seed, first])
    temperature = rng.normal(15, 6, n)
    return pl.DataFrame(
        {
            "at": [START + (first + i) * MINUTE for i in range(n)],
            "ride": [f"k{first + i}" for i in range(n)],
            "temperature": temperature,
            "weather": rng.choice(["clear", "mist", "rain"], n, p=[0.6, 0.3, 0.1]),
            "holiday": rng.random(n) < 0.1,
            "count": (50 + 3 * temperature + rng.normal(0, 5, n)).astype(int),
            "_file_digest": [batch_of] * n,
            "_row_number": list(range(n)),
            "_ingested_at": [NOW] * n,
        },
        schema_overrides={
            "at": pl.Datetime("us", "UTC"),
            "_ingested_at": pl.Datetime("us", "UTC"),
        },
    )


def served_rows(n: int, version: int = 1, seed: int = 9) -> pl.DataFrame:
    """Rows as `collect_requests` appends them."""
    rows = ride_rows(0, n, seed=seed)
    return rows.select(
        "temperature",
        "weather",
        "holiday",
        pl.lit(70.0).alias("prediction"),
        pl.format("q{}", pl.int_range(pl.len())).alias("request_id"),
        pl.lit(NOW).cast(pl.Datetime("us", "UTC")).alias("time"),
        pl.lit(version, pl.Int64).alias("version"),
    )


def append(resources: Resources, rows: pl.DataFrame, name: str, table: str = "rows") -> None:
    resources.lake.append_rows(resources.model, table, [rows], transaction=name)


def make_champion(resources: Resources, rows: pl.DataFrame, version: int = 1) -> str:
    """Register `version`, trained on `rows`, as champion; the id of its MLflow run."""
    key = f"{version:064x}"
    timed = resources.spec.data.time is not None
    snapshot = Snapshot(
        model=resources.model,
        key=key,
        data_version=1,
        labels_version=None,
        rows_digest="d",
        spec_digest="s",
        code_digest="c",
        rows={"fitting": rows.height},
        seen_from=rows["at"].min().isoformat() if timed else "1",
        seen_until=rows["at"].max().isoformat() if timed else "1",
        holdout_from="",
        budget=TrialBudget(1, 1, 1),
        request_ids=(),
        reason="test",
    )
    resources.lake.put_part(resources.model, key, "fitting", rows)
    resources.ledger.open_training(snapshot, "run", NOW)
    resources.ledger.record_judgement(key, Judgement("won", "better"), NOW)
    run_id = resources.registry.start_run(resources.model, key, "training")
    client = mlflow.MlflowClient(resources.settings.mlflow_uri, resources.settings.mlflow_uri)
    if version == 1:
        client.create_registered_model(resources.model)
    made = client.create_model_version(resources.model, f"file://{resources.settings.home}", run_id)
    assert int(made.version) == version
    resources.registry.set_alias(resources.model, "champion", version)
    candidate = Candidate(resources.model, version, run_id, key, "m", refitted=True)
    resources.ledger.record_candidate(candidate, NOW)
    return run_id


def empty_mlflow(folder: Path) -> Path:
    """A migrated, empty MLflow database, to be copied: making one takes seconds."""
    home = settings.load({"EVERGREEN_HOME": str(folder)})
    Registry(home).experiment("none")
    return folder / "mlflow" / "mlflow.db"


def place_mlflow(database: Path, home: Path) -> None:
    (home / "mlflow").mkdir(parents=True)
    shutil.copyfile(database, home / "mlflow" / "mlflow.db")
