"""A process stopped past its lease in the middle of a training changes nothing when it wakes."""

import dataclasses

import pytest

from include.evergreen.stages.training.training_steps import training_folder
from tests import stopped_stages
from tests.stopped import LEASE_S, stopped

REGISTRY = "include.evergreen.adapters.registry.registry:Registry"
RUNS = "include.evergreen.adapters.registry.runs:Runs"
LEDGER = "include.evergreen.adapters.ledger:Ledger"
CLIENT = "mlflow:MlflowClient"


@pytest.fixture
def tuned(bike, rides):
    """The snapshot of a search that is over, in the hands of a second run."""
    bike.change(training={"estimators": ["ridge"]})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot = bike.freeze(bike.claim(trials=1))
    bike.tune(snapshot)
    bike._resources = dataclasses.replace(bike.resources, owner="second run", lease_s=LEASE_S)
    return snapshot


def world(bike, snapshot) -> dict:
    """Everything a training may change, inside and outside of the ledger."""
    registry, ledger = bike.resources.registry, bike.resources.ledger
    client, experiment = registry._client, registry.experiment("bike_demand")
    runs = client.search_runs([experiment])
    return {
        "versions": [
            (v.version, dict(v.tags)) for v in client.search_model_versions("name='bike_demand'")
        ],
        "challenger": registry.version_of("bike_demand", "challenger"),
        "logged models": sorted(str(m.status) for m in client.search_logged_models([experiment])),
        "runs": [(r.info.run_id, r.info.status, r.data.to_dictionary()) for r in runs],
        "files": {
            path: path.stat().st_mtime_ns
            for run in runs
            for path in bike.settings.home.glob(f"mlflow/artifacts/**/{run.info.run_id}/**/*")
        },
        "training": dataclasses.replace(ledger.training(snapshot.key), compute_seconds=0.0),
        "decisions": ledger.decisions("bike_demand"),
        "pending": ledger.pending_requests("bike_demand"),
        "folder": sorted(training_folder(bike.resources, snapshot).rglob("*")),
    }


@pytest.mark.parametrize(
    ("at", "when"),
    [
        ("include.evergreen.stages.training.make_bundle:_write", "after"),
        (f"{REGISTRY}._log_model", "before"),
        (f"{CLIENT}.log_model_artifacts", "after"),
        (f"{REGISTRY}._create_version", "before"),
        (f"{CLIENT}.create_model_version", "before"),
        (f"{CLIENT}.create_model_version", "after"),
        (f"{LEDGER}.record_candidate", "before"),
        (f"{LEDGER}.record_candidate", "after"),
    ],
)
def test_one_version_whoever_sleeps_inside_register(bike, tuned, tmp_path, at, when):
    fitted = bike.fit(tuned)
    word = bike.judge(tuned, fitted)
    first = stopped_stages.register_candidate
    arguments = (tuned, fitted, word)
    with stopped(first, arguments, bike.resources, at=at, when=when, folder=tmp_path) as asleep:
        candidate = bike.register(tuned, fitted, word)
        before = world(bike, tuned)
        assert asleep.wake() == "LeaseLost"
    assert world(bike, tuned) == before
    assert [version for version, _ in before["versions"]] == [candidate.version]
    assert before["challenger"] == candidate.version
    assert before["training"].candidate == candidate
    info = bike.resources.registry.version_info("bike_demand", candidate.version)
    assert info.manifest_digest == candidate.manifest_digest


@pytest.mark.parametrize(
    ("at", "when"),
    [(f"{RUNS}.start_run", "before"), (f"{RUNS}.log_folder", "before")],
)
def test_who_sleeps_inside_fit_logs_nothing_more(bike, tuned, tmp_path, at, when):
    first = stopped_stages.fit_challenger
    with stopped(first, (tuned,), bike.resources, at=at, when=when, folder=tmp_path) as asleep:
        fitted = bike.fit(tuned)
        before = world(bike, tuned)
        assert asleep.wake() == "LeaseLost"
    assert world(bike, tuned) == before
    assert bike.judge(tuned, fitted).verdict == "won"


def test_who_sleeps_inside_judge_says_nothing_more(bike, tuned, tmp_path):
    fitted = bike.fit(tuned)
    first, at = stopped_stages.judge_challenger, f"{LEDGER}.record_judgement"
    with stopped(
        first, (tuned, fitted), bike.resources, at=at, when="before", folder=tmp_path
    ) as asleep:
        word = bike.judge(tuned, fitted)
        before = world(bike, tuned)
        assert asleep.wake() == "LeaseLost"
    assert world(bike, tuned) == before
    assert before["training"].judgement == word


def test_who_sleeps_and_whose_work_nobody_took_goes_on_when_it_wakes(bike, tuned, tmp_path):
    fitted = bike.fit(tuned)
    word = bike.judge(tuned, fitted)
    at = f"{REGISTRY}._create_version"
    with stopped(
        stopped_stages.register_candidate,
        (tuned, fitted, word),
        bike.resources,
        at=at,
        when="before",
        folder=tmp_path,
    ) as asleep:
        assert asleep.wake() == "done"
    assert bike.register(tuned, fitted, word).version == 1
