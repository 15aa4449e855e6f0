"""Anchors in a real MLflow: where they are put, that they stand, and that all of them are found."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.registry import Registry
from include.evergreen.contracts import JournalAnchor
from tests.unit.stages.watched import empty_mlflow, place_mlflow

ONE, OTHER = "a" * 64, "b" * 64
EXPERIMENT = "the model's experiment in MLflow"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("anchors") / "home"
    place_mlflow(empty_mlflow(tmp_path_factory.mktemp("mlflow")), home)
    return home


@pytest.fixture(scope="module")
def registry(home: Path) -> Registry:
    return Registry(evergreen_settings.load({"EVERGREEN_HOME": str(home)}))


@pytest.fixture
def client(registry: Registry) -> mlflow.MlflowClient:
    return registry._client


def made(registry: Registry, model: str) -> tuple[str, int]:
    """A run and a version of it, as a training makes them."""
    run = registry.start_run(model, "key", "training")
    tags = {"evergreen.installation": registry._installation}
    registry._client.create_registered_model(model)
    version = registry._client.create_model_version(model, "file:///x", run, tags=tags)
    return run, int(version.version)


def test_an_anchor_is_on_the_version_else_on_the_run_else_on_the_experiment(registry, client):
    run, version = made(registry, "m1")
    registry.finish_run(run, succeeded=True)
    on_version = registry.anchor_journal("m1", 3, ONE, version=version, run_id=run)
    on_run = registry.anchor_journal("m1", 1, ONE, version=None, run_id=run)
    nowhere = registry.anchor_journal("m1", 2, ONE, version=None, run_id="")
    assert [on_version.where, on_run.where, nowhere.where] == [
        "v1 in MLflow",
        f"the MLflow run {run}",
        EXPERIMENT,
    ]
    assert client.get_model_version("m1", "1").tags["evergreen.journal_3"] == ONE
    assert client.get_run(run).data.tags["evergreen.journal_1"] == ONE
    assert sorted(registry.journal_anchors("m1"), key=lambda a: a.number) == [
        on_run,
        nowhere,
        on_version,
    ]


def test_an_anchor_that_stands_is_never_overwritten(registry):
    run, version = made(registry, "m2")
    for place in ({"version": version, "run_id": run}, {"version": None, "run_id": run}):
        registry.anchor_journal("m2", 1, ONE, **place)
        assert registry.anchor_journal("m2", 1, OTHER, **place).digest == ONE
    registry.anchor_journal("m2", 1, ONE, version=None, run_id="")
    assert registry.anchor_journal("m2", 1, OTHER, version=None, run_id="").digest == ONE
    assert {anchor.digest for anchor in registry.journal_anchors("m2")} == {ONE}


def test_what_was_deleted_is_anchored_elsewhere_and_old_anchors_are_found(registry, client):
    run, version = made(registry, "m3")
    registry.anchor_journal("m3", 1, ONE, version=None, run_id=run)
    client.delete_model_version("m3", str(version))
    client.delete_run(run)
    found = registry.anchor_journal("m3", 2, ONE, version=version, run_id=run)
    gone = registry.anchor_journal("m3", 3, ONE, version=77, run_id="0" * 32)
    assert found.where == gone.where == EXPERIMENT
    numbers = sorted(anchor.number for anchor in registry.journal_anchors("m3"))
    assert numbers == [1, 2, 3], "the run is among MLflow's deleted ones, and still says so"


def test_what_another_installation_made_is_neither_written_to_nor_read(registry, tmp_path):
    run, version = made(registry, "m4")
    there = {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_MLFLOW_URI": registry._connection.uri}
    other = Registry(evergreen_settings.load(there))
    theirs = other.anchor_journal("m4", 1, OTHER, version=version, run_id=run)
    assert theirs == JournalAnchor(1, OTHER, EXPERIMENT)
    mine = registry.anchor_journal("m4", 1, ONE, version=version, run_id=run)
    assert registry.journal_anchors("m4") == [mine]
    assert other.journal_anchors("m4") == [theirs]


def test_a_model_that_mlflow_does_not_know_has_no_anchors_and_reading_makes_nothing(registry):
    assert registry.journal_anchors("nobody") == []
    assert registry._client.get_experiment_by_name("nobody") is None
