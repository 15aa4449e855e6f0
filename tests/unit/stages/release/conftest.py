"""One installation whose services are plain processes, and versions that are fitted in a moment."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import BuiltImage, Candidate, Judgement, RunningService
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.resources import Resources
from tests.containers.conftest import SPEC, House, remove_all, snapshot


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with its tables and nothing in them: they take seconds to make."""
    home = tmp_path_factory.mktemp("empty")
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(home)})
    assert Registry(settings).version_of("nobody", "champion") is None
    return home / "mlflow" / "mlflow.db"


def spec(**deployment: Any) -> ModelSpec:
    levels = {**SPEC["deployment"]["service_levels"], "load_seconds": 0.2}
    asked = {**SPEC["deployment"], "runtime": "process", "service_levels": levels, **deployment}
    return ModelSpec.model_validate({**SPEC, "deployment": asked})


@pytest.fixture
def house(
    installation: evergreen_settings.Settings, empty_mlflow: Path, tmp_path: Path
) -> Iterator[House]:
    """An installation whose services are gone when the test ends."""
    (installation.home / "mlflow").mkdir(parents=True)
    shutil.copy(empty_mlflow, installation.home / "mlflow" / "mlflow.db")
    found = House(Resources(spec(), installation), tmp_path)
    yield found
    remove_all(found.runtime)


def register(house: House, version: int, against: int | None, why: str = "better") -> Candidate:
    """A version as the ledger knows one that was judged against a champion; nothing else does."""
    ledger, key = house.resources.ledger, f"{version:064x}"
    ledger.open_training(snapshot("rides", key), "test", house.now())
    ledger.record_judgement(key, Judgement("won", why, champion_version=against), house.now())
    candidate = Candidate("rides", version, "run", key, "manifest", refitted=True)
    ledger.record_candidate(candidate, house.now())
    return candidate


def image_of(house: House, version: int) -> BuiltImage:
    """An image that is there and serves nothing."""
    folder = house.resources.settings.services_dir / "rides" / f"v{version}-{version:012x}"
    (folder / "bundle").mkdir(parents=True, exist_ok=True)
    (folder / "bundle" / "manifest.json").write_text("{}")
    manifest = hashlib.sha256(b"{}").hexdigest()
    return BuiltImage("rides", version, "process", str(folder), f"sha256:{version}", manifest)


def live(house: House, version: int, environment: str) -> int:
    """A deployment that the ledger says is live, without a service; its id."""
    ledger, image = house.resources.ledger, image_of(house, version)
    ledger.record_image(image, house.now())
    number = ledger.begin_deployment("rides", version, environment, f"v{version}", house.now())
    service = RunningService("0:0", f"v{version}", "process", "http://x", image.digest, "")
    ledger.record_service(number, service, house.now())
    ledger.finish_deployment(number, "live", "verified", (), house.now())
    return number


def stage(house: House, seed: int) -> None:
    """A version as staging leaves it in registry, ledger and engine; no service of it runs."""
    ledger, image = house.resources.ledger, house.build(house.register(seed))
    number = ledger.begin_deployment("rides", image.version, "staging", f"s{seed}", house.now())
    service = RunningService("0:0", f"s{seed}", image.runtime, "http://x", image.digest, "")
    ledger.record_service(number, service, house.now())
    ledger.finish_deployment(number, "live", "verified", (), house.now())


def words(house: House) -> list[tuple[str, int]]:
    """What release said, the first word first."""
    found = house.resources.ledger.decisions_of("rides", "release")
    return [(decision.verdict, decision.details["version"]) for decision in reversed(found)]
