"""The simulator: the real files' shape, the same rows for the same seed, and every switch works."""

import datetime as dt
import gzip
import hashlib

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score

from include.evergreen.simulator import (
    labels_of,
    simulate_bike,
    simulate_electricity,
    write_csv,
)
from include.evergreen.simulator.__main__ import add_months, main

START = dt.date(2011, 1, 1)
NEXT = dt.date(2011, 6, 1)
BIKE_FEATURES = [
    "season", "yr", "mnth", "hr", "holiday", "weekday", "workingday", "weathersit", "temp",
    "atemp", "hum", "windspeed",
]  # fmt: skip
BIKE_COLUMNS = ["instant", "dteday", *BIKE_FEATURES, "casual", "registered", "cnt"]
POWER_FEATURES = ["day_of_week", "nswdemand", "vicprice", "vicdemand", "transfer"]
BOTH = pytest.mark.parametrize("simulate", [simulate_bike, simulate_electricity])


def _psi(reference: pl.Series, current: pl.Series) -> float:
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, 11)))
    edges[0], edges[-1] = -np.inf, np.inf
    p, q = (np.clip(np.histogram(x, edges)[0] / len(x), 1e-4, None) for x in (reference, current))
    return float(((p - q) * np.log(p / q)).sum())


def _rmse(model, frame: pl.DataFrame) -> float:
    predicted = model.predict(frame.select(BIKE_FEATURES).to_numpy())
    return float(np.sqrt(np.mean((predicted - frame["cnt"].to_numpy()) ** 2)))


def _regressor(frame: pl.DataFrame):
    model = HistGradientBoostingRegressor(max_iter=60, random_state=0)
    return model.fit(frame.select(BIKE_FEATURES).to_numpy(), frame["cnt"].to_numpy())


def test_the_columns_are_those_of_the_real_files(shared_data):
    assert simulate_bike(START, 1, seed=1).columns == BIKE_COLUMNS
    power = simulate_electricity(START, 1, seed=1)
    assert power.columns == ["timestamp", *POWER_FEATURES, "price_up"]
    if shared_data is None:
        pytest.skip("the real files are absent; the columns above are theirs")
    for name, simulated in (
        ("bike_sharing_hourly", simulate_bike(START, 1, seed=1)),
        ("electricity_half_hourly", power),
    ):
        real = pl.read_csv(shared_data / f"{name}.csv.gz")
        assert simulated.schema == real.schema


@BOTH
def test_the_same_seed_gives_the_same_rows_and_another_gives_others(simulate):
    first = simulate(START, 5, seed=3, covariate_drift=0.5, dirty_share=0.1)
    assert first.equals(simulate(START, 5, seed=3, covariate_drift=0.5, dirty_share=0.1))
    assert not first.equals(simulate(START, 5, seed=4, covariate_drift=0.5, dirty_share=0.1))


@BOTH
def test_a_month_alone_equals_that_month_out_of_a_longer_run(simulate):
    whole = simulate(START, 20, seed=3)
    part = simulate(START + dt.timedelta(days=12), 8, seed=3)
    assert whole[-part.height :].equals(part)


@BOTH
def test_the_key_never_repeats(simulate):
    frame = simulate(START, 60, seed=3)
    assert frame[frame.columns[0]].is_unique().all()


def test_casual_and_registered_add_up_to_the_target_as_in_the_real_file():
    frame = simulate_bike(START, 30, seed=3)
    assert (frame["casual"] + frame["registered"]).equals(frame["cnt"], check_names=False)


def test_bike_demand_grows_and_has_seasons():
    def rides(day: dt.date) -> float:
        return float(simulate_bike(day, 28, seed=3)["cnt"].mean())

    winter, summer = rides(dt.date(2011, 1, 3)), rides(dt.date(2011, 6, 6))
    assert summer > 1.5 * winter
    assert rides(dt.date(2012, 1, 2)) > 1.15 * winter


def test_bike_demand_can_be_learned():
    train, fresh = simulate_bike(START, 150, seed=7), simulate_bike(NEXT, 20, seed=7)
    naive = float(np.sqrt(np.mean((fresh["cnt"].to_numpy() - train["cnt"].mean()) ** 2)))
    assert _rmse(_regressor(train), fresh) < 0.5 * naive


def test_drift_shows_in_psi_and_a_retrain_wins():
    train = simulate_bike(START, 150, seed=7)
    drifted = simulate_bike(NEXT, 60, seed=7, covariate_drift=1, concept_drift=1)
    seen, fresh = drifted[: 46 * 24], drifted[46 * 24 :]
    calm = simulate_bike(NEXT, 46, seed=7)
    for column in ("hum", "windspeed"):
        assert _psi(train[column], seen[column]) > 0.5
        assert _psi(train[column], calm[column]) < 0.25
    old, new = _regressor(train), _regressor(pl.concat([train, seen]))
    assert _rmse(old, fresh) > 2 * _rmse(new, fresh)


def test_concept_drift_alone_leaves_the_weather_and_covariate_drift_alone_leaves_the_rule():
    calm = simulate_bike(NEXT, 20, seed=7)
    concept = simulate_bike(NEXT, 20, seed=7, concept_drift=1)
    assert concept.select(BIKE_FEATURES).equals(calm.select(BIKE_FEATURES))
    assert not concept["cnt"].equals(calm["cnt"])
    power = simulate_electricity(NEXT, 20, seed=7)
    moved = simulate_electricity(NEXT, 20, seed=7, concept_drift=1)
    assert moved.select(POWER_FEATURES).equals(power.select(POWER_FEATURES))
    assert (moved["price_up"] != power["price_up"]).mean() > 0.2


def test_electricity_can_be_learned_drifts_and_is_relearned():
    def features(frame: pl.DataFrame):
        hour = frame["timestamp"].str.slice(11, 2).cast(pl.Int64).alias("hour")
        return frame.select(POWER_FEATURES).with_columns(hour).to_numpy()

    def model(frame: pl.DataFrame):
        return HistGradientBoostingClassifier(max_iter=60, random_state=0).fit(
            features(frame), frame["price_up"].to_numpy()
        )

    def auc(fitted, frame: pl.DataFrame) -> float:
        return float(roc_auc_score(frame["price_up"], fitted.predict_proba(features(frame))[:, 1]))

    train = simulate_electricity(START, 120, seed=7)
    fresh = simulate_electricity(START + dt.timedelta(days=120), 20, seed=7)
    drifted = simulate_electricity(
        START + dt.timedelta(days=120), 50, seed=7, covariate_drift=1, concept_drift=1
    )
    seen, later = drifted[: 36 * 48], drifted[36 * 48 :]
    old = model(train)
    assert auc(old, fresh) > 0.85
    assert _psi(train["transfer"], seen["transfer"]) > 0.5
    assert auc(model(pl.concat([train, seen])), later) > auc(old, later) + 0.2


@BOTH
@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
def test_exactly_the_share_asked_for_is_dirty(simulate, share):
    clean, dirty = simulate(START, 10, seed=3), simulate(START, 10, seed=3, dirty_share=share)
    differs = [
        a != b
        for a, b in zip(
            clean.cast(pl.String).iter_rows(), dirty.cast(pl.String).iter_rows(), strict=True
        )
    ]
    assert sum(differs) == round(share * clean.height)


@BOTH
def test_a_schema_break_renames_one_column_and_changes_its_unit(simulate):
    clean, broken = simulate(START, 2, seed=3), simulate(START, 2, seed=3, schema_break=True)
    gone = set(clean.columns) - set(broken.columns)
    new = set(broken.columns) - set(clean.columns)
    assert len(gone) == len(new) == 1
    assert broken[new.pop()].max() > 10 * clean[gone.pop()].max()


@pytest.mark.parametrize(
    ("simulate", "model", "columns"),
    [
        (simulate_bike, "bike_demand", ["instant", "cnt"]),
        (simulate_electricity, "electricity", ["timestamp", "price_up"]),
    ],
)
def test_late_labels_are_empty_at_first_and_join_by_key_later(simulate, model, columns):
    known, waiting = simulate(START, 3, seed=3), simulate(START, 3, seed=3, late_labels=True)
    assert waiting[columns[1]].null_count() == waiting.height
    labels = labels_of(known, model)
    assert labels.columns == columns
    joined = waiting.drop(columns[1]).join(labels, on=columns[0])
    assert joined[columns[1]].equals(known[columns[1]])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"days": 0}, "days is 0"),
        ({"dirty_share": 1.5}, "dirty_share is 1.5"),
        ({"concept_drift": -1}, "concept_drift is -1"),
        ({"start": dt.date(2010, 12, 31)}, "opens on 2011-01-01"),
    ],
)
def test_a_switch_out_of_range_is_refused(change, expected):
    arguments = {"start": START, "days": 1, "seed": 1} | change
    with pytest.raises(ValueError, match=expected):
        simulate_bike(**arguments)


def test_the_same_rows_make_the_same_file_and_no_partial_one_stays(tmp_path):
    frame = simulate_bike(START, 1, seed=1)
    digests = {
        hashlib.sha256(write_csv(frame, tmp_path / "in" / name).read_bytes()).hexdigest()
        for name in ("a.csv.gz", "b.csv.gz")
    }
    assert len(digests) == 1
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.csv.gz", "b.csv.gz"]
    assert gzip.decompress((tmp_path / "in" / "a.csv.gz").read_bytes()).startswith(b"instant,dted")


def test_the_command_writes_whole_months_with_the_troubles_asked_for(tmp_path, capsys):
    out, labels = tmp_path / "rides.csv", tmp_path / "labels.csv"
    arguments = ["--start", "2012-01-31", "--months", "1", "--drift", "--out", str(out)]
    assert main([*arguments, "--labels-out", str(labels)]) == 0
    assert "696 rows of bike_demand" in capsys.readouterr().out
    rows = pl.read_csv(out)
    assert rows["dteday"].max() == "2012-02-28"
    assert rows["cnt"].null_count() == rows.height
    known = simulate_bike(dt.date(2012, 1, 31), 29, seed=7, covariate_drift=1, concept_drift=1)
    assert pl.read_csv(labels).equals(labels_of(known, "bike_demand"))


def test_the_command_says_what_it_cannot_do(tmp_path, capsys):
    assert main(["--dirty-share", "2", "--out", str(tmp_path / "x.csv")]) == 2
    assert "dirty_share is 2.0" in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2012-01-31", 1, "2012-02-29"),
        ("2011-12-15", 1, "2012-01-15"),
        ("2011-01-01", 24, "2013-01-01"),
        ("2011-08-31", 3, "2011-11-30"),
    ],
)
def test_months_are_calendar_months(day, months, expected):
    assert add_months(dt.date.fromisoformat(day), months) == dt.date.fromisoformat(expected)
