"""A home of its own for each test, with rows already in the lake, and the steps of a training."""

import datetime as dt
import gzip
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import (
    Candidate,
    Claim,
    FileOutcome,
    Fitted,
    Judgement,
    Snapshot,
)
from include.evergreen.simulator import simulate_bike, simulate_electricity
from include.evergreen.spec import ModelSpec, load_spec
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training import claim, fit, freeze, judge, register, tune

MODELS = Path(__file__).resolve().parents[4] / "include" / "models"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class Loop:
    """One model in one home. Every step is called as its task calls it."""

    spec: ModelSpec
    settings: evergreen_settings.Settings
    runs: int = 0
    appended: int = 0
    _resources: Resources | None = field(default=None)

    @property
    def resources(self) -> Resources:
        if self._resources is None:
            self._resources = Resources(self.spec, self.settings)
        return self._resources

    def change(self, **sections: dict) -> None:
        """The same model with other values in its spec."""
        document = self.spec.model_dump(mode="json", exclude_unset=True)
        for section, values in sections.items():
            document[section] = {**document.get(section, {}), **values}
        self.spec = ModelSpec.model_validate(document)
        self._resources = None

    def ingest(self, frame: pl.DataFrame, reason: str = "new_data") -> None:
        """Put rows into the lake and ask for a training, as ingest does."""
        self.appended += 1
        name, ledger = f"file-{self.appended}", self.resources.ledger
        stamped = frame.with_columns(
            pl.lit(name).alias("_file_digest"),
            pl.int_range(pl.len(), dtype=pl.Int64).alias("_row_number"),
            pl.lit(now()).cast(pl.Datetime("us", "UTC")).alias("_ingested_at"),
        )
        model = self.spec.model
        version = self.resources.lake.append_rows(model, "rows", [stamped], transaction=name)
        claimed = ledger.claim_file(model, name, "contract", name, "rows", "test", now())
        outcome = FileOutcome(name, name, "appended", rows_appended=frame.height)
        ledger.finish_file(model, name, "contract", claimed.fence, outcome, version, now())
        if reason:
            ledger.request_retrain(model, reason, f"{reason}:{name}", {}, now())

    def claim(self, **wanted) -> Claim | None:
        self.runs += 1
        how = claim.Wanted(f"run-{self.runs}", **wanted)
        return claim.claim_requests(self.resources, how, now=now())

    def freeze(self, claimed: Claim | None) -> Snapshot | None:
        assert claimed is not None, "nothing was claimed"
        return freeze.freeze_snapshot(self.resources, claimed, now=now())

    def tune(self, snapshot: Snapshot, worker: int = 0) -> dict:
        return tune.run_worker(self.resources, snapshot, worker)

    def fit(self, snapshot: Snapshot) -> Fitted:
        return fit.fit_challenger(self.resources, snapshot)

    def judge(self, snapshot: Snapshot, fitted: Fitted) -> Judgement:
        return judge.judge_challenger(self.resources, snapshot, fitted)

    def register(self, snapshot: Snapshot, fitted: Fitted, word: Judgement) -> Candidate | None:
        return register.register_candidate(self.resources, snapshot, fitted, word)

    def train(self, **wanted) -> tuple[Snapshot, Fitted, Judgement, Candidate | None]:
        """One whole run of train."""
        snapshot = self.freeze(self.claim(**wanted))
        assert snapshot is not None, self.last_reason()
        self.tune(snapshot)
        fitted = self.fit(snapshot)
        word = self.judge(snapshot, fitted)
        return snapshot, fitted, word, self.register(snapshot, fitted, word)

    def crown(self, candidate: Candidate | None) -> None:
        """What deploy does in the end."""
        assert candidate is not None
        self.resources.registry.set_alias(self.spec.model, "champion", candidate.version)

    def last_reason(self) -> str:
        return self.resources.ledger.decisions(self.spec.model)[0].reason


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory) -> Path:
    """An MLflow database with nothing in it: making its tables takes seconds."""
    home = tmp_path_factory.mktemp("empty-mlflow")
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(home)})
    assert Registry(settings).version_of("nothing", "champion") is None
    return home / "mlflow" / "mlflow.db"


@pytest.fixture
def home(tmp_path, empty_mlflow) -> evergreen_settings.Settings:
    home = tmp_path / "home"
    (home / "mlflow").mkdir(parents=True)
    shutil.copyfile(empty_mlflow, home / "mlflow" / "mlflow.db")
    return evergreen_settings.load({"EVERGREEN_HOME": str(home)})


def quick(spec: ModelSpec, **training) -> ModelSpec:
    document = spec.model_dump(mode="json", exclude_unset=True)
    budget = {"trials": 3, "seconds": 600, "workers": 2}
    estimators = [name for name in spec.training.estimators if name != "random_forest"]
    document["training"] |= {"budget": budget, "estimators": estimators, **training}
    return ModelSpec.model_validate(document)


@pytest.fixture
def bike(home) -> Loop:
    return Loop(quick(load_spec(MODELS / "bike_demand.yaml")), home)


@pytest.fixture
def electricity(home) -> Loop:
    return Loop(quick(load_spec(MODELS / "electricity.yaml")), home)


def in_lake_types(raw: pl.DataFrame, spec: ModelSpec) -> pl.DataFrame:
    """A file's rows as ingest puts them into the lake."""
    kinds = {"float": pl.Float64, "integer": pl.Int64}
    made = []
    for name, column in spec.data.columns.items():
        if column.type == "boolean":
            made.append((pl.col(name) == 1).alias(name))
        elif column.type == "category":
            whole = column.values and isinstance(column.values[0], int)
            made.append(pl.col(name).cast(pl.Int64 if whole else pl.String))
        elif column.type in kinds:
            made.append(pl.col(name).cast(kinds[column.type]))
    if spec.data.time:
        parsed = (
            pl.col(spec.data.time).cast(pl.String).str.to_datetime(time_unit="us", time_zone="UTC")
        )
        made.append(parsed)
    if spec.data.key and spec.data.key != spec.data.time:
        made.append(pl.col(spec.data.key).cast(pl.String))
    return raw.select(made)


@pytest.fixture(scope="session")
def rides(shared_data):
    """`rides(first, last)`: the real bike rows of these days, last not included; else simulated."""
    spec = load_spec(MODELS / "bike_demand.yaml")
    if shared_data:
        raw = pl.read_csv(
            gzip.decompress((shared_data / "bike_sharing_hourly.csv.gz").read_bytes())
        )
    else:
        raw = simulate_bike(dt.date(2011, 1, 1), 731, seed=7)

    def between(first: str, last: str) -> pl.DataFrame:
        days = pl.col("dteday").cast(pl.String)
        return in_lake_types(raw.filter((days >= first) & (days < last)), spec)

    return between


@pytest.fixture(scope="session")
def prices(shared_data):
    """`prices(n)`: the first n real half hours of the electricity market; else simulated."""
    spec = load_spec(MODELS / "electricity.yaml")
    if shared_data:
        path = shared_data / "electricity_half_hourly.csv.gz"
        raw = pl.read_csv(gzip.decompress(path.read_bytes()))
    else:
        raw = simulate_electricity(dt.date(1996, 5, 7), 200, seed=7)
    return lambda first, last: in_lake_types(raw[first:last], spec)
