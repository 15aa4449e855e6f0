"""A real engine, MLflow, ledger and serving app; what they deploy are small models fitted here."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from docker.errors import ImageNotFound
from sklearn.ensemble import HistGradientBoostingRegressor

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.registry import Registry
from include.evergreen.adapters.runtime import Runtime, open_runtime
from include.evergreen.adapters.runtime.docker_engine import connect
from include.evergreen.adapters.runtime.docker_images import KINDS, ServingImages
from include.evergreen.contracts import (
    BuiltImage,
    Candidate,
    Deployment,
    Judgement,
    Proposal,
    Snapshot,
    TrialBudget,
    Verification,
)
from include.evergreen.errors import EvergreenError
from include.evergreen.model_code.features import categorical_indices, transform
from include.evergreen.model_code.plan import make_plan
from include.evergreen.spec import ModelSpec
from include.evergreen.stages import bundle as bundles
from include.evergreen.stages.clock import utc_now
from include.evergreen.stages.deploy import build, promote, verify
from include.evergreen.stages.release import (
    approval,
    propose,
    rollback,
    start,
    strategies,
    watch,
)
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.register import raw_columns

SPEC: dict[str, Any] = {
    "model": "rides",
    "task": "regression",
    "data": {
        "landing": "landing/rides",
        "time": "at",
        "target": "count",
        "columns": {
            "temperature": {"type": "float", "min": -60, "max": 60, "max_null_share": 0.1},
            "weather": {"type": "category", "values": ["clear", "mist", "rain"]},
            "count": {"type": "integer", "min": 0},
        },
    },
    "features": {"calendar": ["hour"]},
    "training": {"metric": "rmse"},
    "deployment": {
        "start_timeout_s": 300,  # a busy machine is no fault of the candidate
        "memory_mib": 512,
        "cpus": 1,
        "pids": 64,
        "service_levels": {
            "load_seconds": 0.5,
            "connections": 2,
            "p99_ms": 2000,
            "min_requests_per_s": 5,
        },
        "watch": {"seconds": 0.5},
    },
}


def missing(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs a container engine and a base image: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def shared_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-work")


@pytest.fixture(scope="session")
def images(shared_work: Path) -> ServingImages:
    """The engine's images, once the serving images are among them."""
    settings = evergreen_settings.load({**os.environ, "EVERGREEN_HOME": str(shared_work)})
    try:
        found = ServingImages(settings, connect(settings))
        found.gateway()
        for kind in KINDS:
            found.serving(kind)
    except EvergreenError as error:
        missing(str(error))
    return found


@pytest.fixture(scope="session")
def engine(images: ServingImages) -> Any:
    """The engine's client, once the serving images are there."""
    return images._engine


@pytest.fixture(scope="session")
def base_image(images: ServingImages) -> str:
    base = images._local_base()
    assert base is not None
    return base


def rows(seed: int, n_rows: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    start = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    temperature = rng.normal(10, 8, n_rows).clip(-20, 40).round(1)
    return pl.DataFrame(
        {
            "at": [start + dt.timedelta(hours=i) for i in range(n_rows)],
            "temperature": [None if i % 17 == 0 else float(t) for i, t in enumerate(temperature)],
            "weather": rng.choice(["clear", "mist", "rain"], n_rows),
            "count": (100 + 5 * temperature + rng.normal(0, 4, n_rows)).clip(0).round(),
        },
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )


def write_bundle(folder: Path, spec: ModelSpec, seed: int, key: str) -> str:
    frame = rows(seed)
    contract = bundles.contract_of(spec)
    columns = bundles.columns_of(frame, contract)
    plan = make_plan(spec.features.model_dump(mode="json"), contract, "ordinal", columns)
    estimator = HistGradientBoostingRegressor(
        max_iter=20, categorical_features=categorical_indices(plan) or None, random_state=7
    )
    estimator.fit(transform(columns, plan), frame["count"].to_numpy())
    return bundles.write_bundle(
        folder,
        spec=spec,
        estimator=estimator,
        encoding="ordinal",
        plan=plan,
        training_key=key,
        golden=bundles.raw_rows(frame.head(20), contract),
    )


@dataclass
class House:
    """One installation with one model: registers candidates and deploys them step by step."""

    resources: Resources
    folder: Path
    built: list[BuiltImage] = field(default_factory=list)
    clock: dt.datetime = field(default_factory=utc_now)

    @property
    def runtime(self) -> Runtime:
        return self.resources.runtime

    def now(self) -> dt.datetime:
        self.clock = max(utc_now(), self.clock + dt.timedelta(microseconds=1))
        return self.clock

    def register(self, seed: int) -> Candidate:
        """A candidate as training leaves it: in the registry, and judged and recorded."""
        model, ledger = self.resources.model, self.resources.ledger
        key = f"{seed:064x}"
        bundle = self.folder / f"training-{seed}" / "bundle"
        digest = write_bundle(bundle, self.resources.spec, seed, key)
        ledger.open_training(snapshot(model, key), "test", self.now())
        live = ledger.deployment(model, "production")
        word = Judgement("won", "the test says so", champion_version=live.version if live else None)
        ledger.record_judgement(key, word, self.now())
        run = self.resources.registry.start_run(model, key, f"training {seed}")
        version = self.resources.registry.register(
            model,
            run,
            bundle,
            training_key=key,
            manifest_digest=digest,
            columns=raw_columns(bundle),
            tags={},
        )
        candidate = Candidate(model, version, run, key, digest, refitted=True)
        ledger.record_candidate(candidate, self.now())
        return candidate

    def choose(self, version: int | None = None) -> Candidate | None:
        return build.choose_version(self.resources, version, now=self.now())

    def build(self, candidate: Candidate) -> BuiltImage:
        image = build.build_image(self.resources, candidate, now=self.now())
        self.built.append(image)
        return image

    def verify(self, image: BuiltImage) -> Verification:
        return verify.start_and_verify(self.resources, image, now=self.now())

    def promote(self, proven: Verification) -> Deployment:
        return promote.promote_to_staging(self.resources, proven, now=self.now())

    def deploy(self, seed: int) -> Deployment:
        self.register(seed)
        chosen = self.choose()
        assert chosen is not None
        return self.promote(self.verify(self.build(chosen)))

    def propose(self, version: int | None = None) -> Proposal | None:
        return propose.choose_version(self.resources, version, "the test says so", now=self.now())

    def start(self, proposal: Proposal) -> Verification:
        return start.start_in_production(self.resources, proposal, now=self.now())

    def shift(self, proposal: Proposal, proven: Verification) -> Deployment:
        deployed = strategies.shift_traffic(self.resources, proposal, proven, clock=utc_now)
        assert deployed is not None
        return deployed

    def watch(self, proposal: Proposal) -> Deployment:
        watched = watch.watch_release(self.resources, proposal)
        assert watched is not None
        return watched

    def approve(self, version: int | None = None) -> Proposal:
        """What is proposed, let in by the policy."""
        proposal = self.propose(version)
        assert proposal is not None
        assert approval.approve(self.resources, proposal, now=self.now())
        return proposal

    def switch(self, version: int | None = None) -> Proposal:
        """What is staged answers in production, and its watch is still to come."""
        proposal = self.approve(version)
        self.shift(proposal, self.start(proposal))
        return proposal

    def release(self, seed: int) -> Deployment:
        """A new version all the way to the champion."""
        self.deploy(seed)
        return self.watch(self.switch())

    def roll_back(self, version: int | None = None, reason: str = "by the test") -> Deployment:
        wanted = rollback.choose_return(self.resources, version, reason)
        return rollback.put_back(self.resources, wanted)

    def live(self, environment: str = "production") -> int | None:
        found = self.resources.ledger.deployment(self.resources.model, environment)
        return found.version if found else None

    def champion(self) -> int | None:
        return self.resources.registry.version_of(self.resources.model, "champion")

    def states(self, environment: str = "production") -> list[tuple[int, str]]:
        """Version and state of each deployment there, the oldest first."""
        found = self.resources.ledger.deployments(self.resources.model, environment=environment)
        return [(record.version, record.state) for record in reversed(found)]

    def with_spec(self, **deployment: Any) -> House:
        """The same installation after its spec was edited."""
        document = {**SPEC, "deployment": {**SPEC["deployment"], **deployment}}
        document["deployment"]["runtime"] = self.resources.spec.deployment.runtime
        spec = ModelSpec.model_validate(document)
        return House(Resources(spec, self.resources.settings), self.folder, self.built, self.clock)


def snapshot(model: str, key: str) -> Snapshot:
    return Snapshot(
        model=model,
        key=key,
        data_version=1,
        labels_version=None,
        rows_digest="r",
        spec_digest="s",
        code_digest="c",
        rows={"train": 200, "holdout": 100},
        seen_from="",
        seen_until="",
        holdout_from="",
        budget=TrialBudget(1, 1, 1),
        request_ids=(),
        reason="manual",
    )


@pytest.fixture(scope="session")
def empty_registry(shared_work: Path) -> Path:
    """MLflow's database with its tables and nothing in them: they take seconds to make."""
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(shared_work)})
    assert Registry(settings).version_of("nobody", "champion") is None
    return shared_work / "mlflow" / "mlflow.db"


def remove_all(runtime: Runtime) -> None:
    """Leave no service of an installation behind, and no gateway."""
    for service in runtime.find():
        runtime.remove(service, grace_s=0)
    for network in runtime.networks():
        runtime.remove_network(network)


@pytest.fixture(params=["docker", "process"])
def house(
    request: pytest.FixtureRequest,
    installation: evergreen_settings.Settings,
    empty_registry: Path,
    tmp_path: Path,
) -> Iterator[House]:
    """An installation whose services are gone when the test ends."""
    (installation.home / "mlflow").mkdir(parents=True)
    shutil.copy(empty_registry, installation.home / "mlflow" / "mlflow.db")
    if request.param == "docker":
        request.getfixturevalue("engine")
    document = {**SPEC, "deployment": {**SPEC["deployment"], "runtime": request.param}}
    resources = Resources(ModelSpec.model_validate(document), installation)
    found = House(resources, tmp_path)
    yield found
    for name in ("process", request.param):
        runtime = open_runtime(name, installation)
        remove_all(runtime)
    for reference in {image.reference for image in found.built if image.runtime == "docker"}:
        with contextlib.suppress(ImageNotFound):
            request.getfixturevalue("engine").remove_image(reference, force=True)
