"""What is claimed, what is frozen, and every 'not yet' with its count."""

import datetime as dt

import polars as pl
import pytest

from include.evergreen.contracts import Judgement
from include.evergreen.errors import InputError
from include.evergreen.stages.training import frozen_rows
from include.evergreen.stages.training.claim import Wanted, grantable_requests


def test_all_pending_requests_are_claimed_at_once(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-02-01"))
    bike.ingest(rides("2011-02-01", "2011-03-01"))
    claimed = bike.claim()
    assert len(claimed.request_ids) == 2
    assert claimed.reason.startswith("first model; ")
    assert claimed.forced_by == ""


def test_nothing_pending_is_nothing_to_do_and_is_recorded(bike):
    assert bike.claim() is None
    assert bike.last_reason() == "no request is pending"


def test_a_run_by_hand_asks_in_the_ledger_and_carries_its_reason_and_budget(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-03-01"), reason="")
    claimed = bike.claim(by_hand=True, reason="the boss wants it", trials=3, seconds=30)
    assert claimed.reason.endswith("the boss wants it")
    assert (claimed.budget.trials, claimed.budget.seconds) == (3, 30)
    pending = bike.resources.ledger.pending_requests("bike_demand")
    assert [request.reason for request in pending] == ["manual"]
    assert claimed.request_ids == (pending[0].id,)


def test_the_schedule_asks_once_and_only_where_there_is_something_new(bike, rides):
    assert bike.claim(scheduled=True) is None
    bike.ingest(rides("2011-01-01", "2011-03-01"), reason="")
    claimed = bike.claim(scheduled=True)
    pending = bike.resources.ledger.pending_requests("bike_demand")
    assert [request.reason for request in pending] == ["schedule"]
    assert claimed.request_ids == (pending[0].id,)
    bike.claim(scheduled=True)
    assert len(bike.resources.ledger.pending_requests("bike_demand")) == 1


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ("[1, 2]", "it must be a JSON object"),
        ("{", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
        ({"trials": 0}, "trials: saw 0"),
        ({"trials": -1}, "trials: saw -1"),
        ({"trials": 10**9}, "trials: saw 1000000000"),
        ({"force": "yes"}, "force: saw 'yes'"),
        ({"trails": 3}, "'trails' is unknown"),
    ],
)
def test_a_conf_that_says_nonsense_is_refused(conf, message):
    with pytest.raises(InputError, match=message):
        Wanted.from_conf(conf, run_id="r", run_type="manual")


def test_a_conf_arrives_as_the_json_that_airflow_renders():
    wanted = Wanted.from_conf(
        '{"force": true, "reason": "{{ x }}", "seconds": null, "trials": 5}',
        run_id="r",
        run_type="scheduled",
    )
    assert wanted == Wanted("r", reason="{{ x }}", trials=5, force=True, scheduled=True)


def test_too_few_rows_is_not_yet_and_the_requests_stay(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-01-08"))
    assert bike.claim() is None
    assert "a first model needs 200 (training.min_rows)" in bike.last_reason()
    assert bike.freeze(bike.claim(force=True)) is None
    assert "rows with a target, 200 are required (training.min_rows)" in bike.last_reason()
    assert len(bike.resources.ledger.pending_requests("bike_demand")) == 2


def test_too_few_rows_since_the_champion_is_not_yet_and_is_not_tried_again_without_rows(
    bike, rides
):
    bike.change(training={"estimators": ["ridge"]}, retrain={"min_new_rows": 1})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    bike.crown(bike.train(trials=1)[3])
    bike.ingest(rides("2011-04-01", "2011-04-05"))
    assert bike.freeze(bike.claim()) is None
    assert "of the 96 that the champion has not seen" in bike.last_reason()
    assert "it needs 200 (training.holdout.min_rows)" in bike.last_reason()
    assert len(bike.resources.ledger.pending_requests("bike_demand")) == 1
    assert grantable_requests(bike.resources, now=dt.datetime.now(dt.UTC)) == []
    bike.ingest(rides("2011-04-05", "2011-06-01"))
    assert len(grantable_requests(bike.resources, now=dt.datetime.now(dt.UTC))) == 2
    assert bike.freeze(bike.claim()) is not None


def test_rows_that_were_judged_not_yet_are_not_tried_again_without_others(bike, rides):
    bike.change(training={"estimators": ["ridge"]}, retrain={"min_new_rows": 1})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot = bike.freeze(bike.claim())
    now, ledger = dt.datetime.now(dt.UTC), bike.resources.ledger
    ledger.record_judgement(snapshot.key, Judgement("not_yet", "the interval is too wide"), now)
    assert bike.freeze(bike.claim()) is None
    assert "trained already (not_yet): the interval is too wide" in bike.last_reason()
    assert len(ledger.pending_requests("bike_demand")) == 1
    assert grantable_requests(bike.resources, now=now) == []
    bike.ingest(rides("2011-04-01", "2011-06-01"))
    assert len(grantable_requests(bike.resources, now=now)) == 2


def test_a_constant_target_is_not_yet(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01").with_columns(cnt=pl.lit(7, pl.Int64)))
    assert bike.freeze(bike.claim()) is None
    assert bike.last_reason() == "the target is constant (7) in the train part"


def test_a_class_that_is_absent_is_not_yet(electricity, prices):
    electricity.ingest(prices(0, 3000).with_columns(price_up=pl.lit(0, pl.Int64)))
    assert electricity.freeze(electricity.claim()) is None
    assert electricity.last_reason() == "class '1' is absent from the train part"


def test_the_digest_does_not_depend_on_files_or_on_their_order(bike, rides, tmp_path, home):
    january, february = rides("2011-01-01", "2011-02-01"), rides("2011-02-01", "2011-04-01")
    bike.ingest(january)
    bike.ingest(february)
    other = type(bike)(bike.spec, type(home)(**{**vars(home), "lake_uri": str(tmp_path / "b")}))
    other.ingest(pl.concat([february, january]).sample(fraction=1.0, shuffle=True, seed=3))
    frames = [
        frozen_rows.usable_rows(loop.resources.lake.scan("bike_demand", "rows"), None, bike.spec)
        for loop in (bike, other)
    ]
    assert frames[0].drop("_batch").equals(frames[1].drop("_batch"))
    digests = [frozen_rows.rows_digest(frame) for frame in frames]
    assert digests[0] == digests[1]
    changed = frames[0].with_columns(hum=pl.col("hum") + 1e-12)
    assert frozen_rows.rows_digest(changed) != digests[0]
    gap = frames[0].with_columns(
        hum=pl.when(pl.int_range(pl.len()) == 5).then(None).otherwise(pl.col("hum"))
    )
    assert frozen_rows.rows_digest(gap) != digests[0]


def test_the_newest_row_of_a_key_counts_and_the_key_is_as_old_as_its_first(bike, rides):
    frame = rides("2011-01-01", "2011-02-01")
    bike.ingest(frame)
    bike.ingest(frame.head(1).with_columns(cnt=pl.lit(9_999, pl.Int64)))
    used = frozen_rows.usable_rows(bike.resources.lake.scan("bike_demand", "rows"), None, bike.spec)
    assert used.height == frame.height
    corrected = used.filter(pl.col("instant") == frame["instant"][0])
    assert corrected["cnt"].to_list() == [9_999]
    assert corrected["_batch"].to_list() == [used["_batch"].min()]


def test_the_holdout_is_newer_than_all_that_is_learned_from(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    snapshot = bike.freeze(bike.claim())
    lake = bike.resources.lake
    train, holdout = (lake.get_part("bike_demand", snapshot.key, p) for p in ("train", "holdout"))
    assert train["dteday"].max() < holdout["dteday"].min()
    assert holdout["dteday"].min().isoformat() == snapshot.holdout_from
    assert holdout["dteday"].n_unique() == 14
    assert not set(train["instant"]) & set(holdout["instant"])


@pytest.mark.parametrize("changed", ["rows", "spec", "budget", "force"])
def test_the_training_key_is_what_the_work_is(bike, rides, changed):
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    first = bike.freeze(bike.claim())
    assert bike.freeze(bike.claim()).key == first.key
    bike.change(monitoring={"min_rows": 999})
    assert bike.freeze(bike.claim()).key == first.key, "a monitoring window trains nothing"
    wanted = {"budget": {"trials": 9}, "force": {"force": True}}.get(changed, {})
    if changed == "rows":
        bike.ingest(rides("2011-04-01", "2011-04-02"))
    if changed == "spec":
        bike.change(gates={"min_improvement": 0.02})
    assert bike.freeze(bike.claim(**wanted)).key != first.key
