"""The shipped specs take the real files and the simulated ones, and fit what trains them."""

import datetime as dt
import gzip

import polars as pl
import pytest

from include.evergreen.simulator import simulate_bike, simulate_electricity, write_csv
from include.evergreen.spec import load_spec
from include.evergreen.spec.rules import ESTIMATORS
from include.evergreen.stages.ingest.parse_files import parse_file
from include.evergreen.stages.ingest.row_contract import RowContract
from include.evergreen.stages.training.search_spaces import SPACES

MODELS = {
    "bike_demand": ("bike_sharing_hourly.csv.gz", simulate_bike, dt.date(2011, 1, 1)),
    "electricity": ("electricity_half_hourly.csv.gz", simulate_electricity, dt.date(1996, 5, 7)),
}
EACH = pytest.mark.parametrize("model", MODELS)


@pytest.fixture
def spec_of(project_root):
    return lambda model: load_spec(project_root / "include" / "models" / f"{model}.yaml")


def _split(spec, path):
    """Good and bad rows of a file, by ingest's own rules."""
    contract = RowContract(spec)
    parsed = parse_file(
        path,
        uri=path.name,
        data_format=spec.data.format,
        wanted=[column.name for column in contract.columns],
        limits=spec.data.limits,
    )
    contract.check_header(path.name, parsed.columns)
    splits = [contract.split(batch.frame) for batch in parsed.batches]
    return pl.concat(s.good for s in splits), pl.concat(s.bad for s in splits)


@EACH
def test_every_row_of_the_real_file_keeps_the_contract(model, spec_of, shared_data, tmp_path):
    if shared_data is None:
        pytest.skip("the real files are absent; the simulated ones are tested below")
    copy = tmp_path / "real.csv"
    copy.write_bytes(gzip.decompress((shared_data / MODELS[model][0]).read_bytes()))
    good, bad = _split(spec_of(model), copy)
    assert bad.is_empty()
    assert good.height > 17_000


@EACH
@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_every_simulated_row_keeps_the_contract(model, spec_of, tmp_path, drift):
    _, simulate, start = MODELS[model]
    frame = simulate(start, 400, seed=11, covariate_drift=drift, concept_drift=drift)
    good, bad = _split(spec_of(model), write_csv(frame, tmp_path / "simulated.csv"))
    assert bad.is_empty()
    assert good.height == frame.height


@EACH
def test_exactly_the_dirty_rows_break_the_contract(model, spec_of, tmp_path):
    _, simulate, start = MODELS[model]
    frame = simulate(start, 30, seed=11, dirty_share=0.1)
    good, bad = _split(spec_of(model), write_csv(frame, tmp_path / "dirty.csv"))
    assert bad.height == round(0.1 * frame.height)
    assert good.height == frame.height - bad.height
    assert bad["rule"].n_unique() >= 3


def test_the_counts_that_make_up_the_target_are_not_in_the_contract(spec_of):
    columns = spec_of("bike_demand").data.columns
    assert {"casual", "registered"}.isdisjoint(columns)


@EACH
def test_a_month_alone_does_not_retrain_but_drift_does(model, spec_of):
    retrain = spec_of(model).retrain
    assert retrain.min_new_rows > 31 * 48
    assert retrain.on_drift


def test_the_estimators_a_spec_may_name_are_those_that_can_be_trained():
    assert set(ESTIMATORS) == set(SPACES)
