"""All stages after one another, as the DAGs call them: landed, staged, watched, replaced."""

import datetime as dt
import json
import time
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from benchmarks.in_process import LoopStopped, release_in_process, run_loop_in_process
from include.evergreen import settings
from include.evergreen.cli.journal import lines_of
from include.evergreen.contracts import Deployment
from include.evergreen.simulator import simulate_bike
from include.evergreen.spec import ModelSpec, load_spec
from include.evergreen.stages.deploy.acceptance_kept import acceptance_table
from include.evergreen.stages.journal import collected
from include.evergreen.stages.monitoring.collect import collect_requests
from include.evergreen.stages.monitoring.monitor import watch_drift
from include.evergreen.stages.resources import Resources

pytestmark = pytest.mark.slow
SMALL = {
    "estimators": ("hist_gradient_boosting", "ridge"),
    "budget": {"trials": 3, "seconds": 60, "workers": 1},
    "holdout": {"days": 7},
}


@pytest.fixture
def spec(project_root: Path) -> ModelSpec:
    shipped = load_spec(project_root / "include" / "models" / "bike_demand.yaml")
    document = shipped.model_dump()
    document["training"] = {**document["training"], **SMALL}
    document["deployment"] = {
        "runtime": "process",
        "acceptance": shipped.deployment.acceptance,
        "service_levels": {"p99_ms": 5000, "min_requests_per_s": 1, "load_seconds": 0.5},
        "watch": {"seconds": 0.5},
    }
    document["retrain"] = {**document["retrain"], "min_new_rows": 100}
    small = ModelSpec.model_validate(document)
    changed = ("training", "deployment", "retrain")
    return shipped.model_copy(update={section: getattr(small, section) for section in changed})


@pytest.fixture
def resources(installation: settings.Settings, spec: ModelSpec):
    opened = Resources(spec, installation)
    yield opened
    for service in opened.runtime.find():
        opened.runtime.remove(service, grace_s=2)


def write(folder: Path, name: str, first: dt.date, days: int, **switches) -> Path:
    simulate_bike(first, days, seed=4, **switches).write_csv(folder / name)
    return folder / name


def ask(deployed: Deployment, rows: pl.DataFrame) -> tuple[list[float], str]:
    body = json.dumps({"dataframe_records": rows.to_dicts()}).encode()
    request = urllib.request.Request(
        f"{deployed.service.endpoint}/invocations",
        data=body,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["predictions"], answer.headers["X-Model-Version"]


def as_request(spec: ModelSpec, rows: pl.DataFrame) -> pl.DataFrame:
    flags = [name for name, column in spec.feature_columns.items() if column.type == "boolean"]
    return rows.select(list(spec.feature_columns)).with_columns(pl.col(flags).cast(pl.Boolean))


def collect(resources: Resources, rows: int) -> None:
    """Wait for the service to close its segment, then collect it."""
    deadline, found = time.monotonic() + 60, 0
    while found < rows and time.monotonic() < deadline:
        found += collect_requests(resources, now=dt.datetime.now(dt.UTC))
        time.sleep(0.5)
    assert found == rows


def test_the_loop_closes(resources: Resources, tmp_path: Path):
    winter = write(tmp_path, "winter.csv", dt.date(2011, 1, 1), 60)
    deployed, seconds = run_loop_in_process(resources, winter)
    assert deployed.version == 1
    assert len(seconds) == 12, "discover to promote"
    assert "7 of 7 acceptance examples as expected" in acceptance_table(resources, 1)
    assert resources.registry.version_of("bike_demand", "champion") is None
    assert resources.registry.version_of("bike_demand", "staging") == 1
    deployed = release_in_process(resources)
    assert (deployed.version, deployed.environment) == (1, "production")
    assert resources.registry.version_of("bike_demand", "champion") == 1

    summer = simulate_bike(dt.date(2011, 6, 1), 20, seed=4)
    answers, version = ask(deployed, as_request(resources.spec, summer))
    assert (len(answers), version) == (480, "1")
    collect(resources, 480)
    report = watch_drift(resources, now=dt.datetime.now(dt.UTC))
    assert report.verdict.verdict == "drift"
    assert "temp" in report.verdict.drifted_columns
    waiting = [request.reason for request in resources.ledger.pending_requests("bike_demand")]
    assert waiting == ["drift"]

    spring = write(tmp_path, "spring.csv", dt.date(2011, 3, 2), 100)
    newer, _ = run_loop_in_process(resources, spring)
    assert newer.version == 2
    assert resources.registry.version_of("bike_demand", "champion") == 1
    newer = release_in_process(resources)
    assert resources.registry.version_of("bike_demand", "champion") == 2
    assert resources.ledger.pending_requests("bike_demand") == []
    assert ask(newer, as_request(resources.spec, summer))[1] == "2"

    journal = collected(resources, "bike_demand")
    lines, verified = lines_of(journal)
    assert verified
    assert lines[-1] == "verified: 14 entries, 14 anchors"
    assert lines[14].startswith("In staging: v2, since #10 (")
    assert lines[15].startswith("In production: v2, since #13 (")
    assert " staged v2 (was v1) by policy verification: verified; judged (#8): " in lines[9]
    assert " checks, failed: none; training " in lines[9]

    with pytest.raises(LoopStopped, match="'claim_requests' had nothing"):
        run_loop_in_process(resources, spring)
    assert resources.registry.version_of("bike_demand", "champion") == 2
