"""The governor on a real ledger, lake and registry: what it is told, and what it writes down."""

import dataclasses
import datetime as dt

from include.evergreen.contracts import DriftReport, DriftVerdict
from include.evergreen.stages.training.claim import grantable_requests
from include.evergreen.stages.training.waiting import unseen, why_not
from tests.unit.adapters.ledger.facts import judgement

QUICK = {"estimators": ["ridge"], "refit": True}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def later(**length: float) -> dt.datetime:
    return now() + dt.timedelta(**length)


def trained_once(bike, rides, **retrain) -> None:
    """A registered first model, and rows that ask for a second."""
    bike.change(training=QUICK, retrain={"min_new_rows": 1, **retrain})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    bike.crown(bike.train()[3])
    bike.ingest(rides("2011-04-01", "2011-06-01"))


def last(bike):
    return bike.resources.ledger.last_decision("bike_demand", "train")


def test_a_training_is_charged_for_its_trials_its_fit_and_its_refit(bike, rides):
    trained_once(bike, rides)
    ledger = bike.resources.ledger
    charges = ledger.compute_since("bike_demand", later(hours=-1))
    assert sorted(charge.work for charge in charges) == ["fit", "refit", "trials/0"]
    assert all(charge.seconds > 0 for charge in charges)
    record = ledger.latest_training("bike_demand", "registered")
    assert abs(record.compute_seconds - sum(charge.seconds for charge in charges)) < 1e-6


def test_a_cooldown_keeps_the_request_says_until_when_and_lets_go_by_itself(bike, rides):
    trained_once(bike, rides, cooldown_s=3600)
    assert bike.claim() is None
    decision = last(bike)
    assert decision.verdict == "not_yet"
    assert "(retrain.cooldown_s): not before " in decision.reason
    assert len(bike.resources.ledger.pending_requests("bike_demand")) == 1
    said = why_not(bike.resources.ledger, "bike_demand", later(minutes=20.5))
    assert said.startswith("not yet: new_data must wait: the last training ended at ")
    assert "(in 39 minutes" in said
    assert grantable_requests(bike.resources, now=later(minutes=59)) == []
    assert len(grantable_requests(bike.resources, now=later(minutes=61))) == 1
    ledger = bike.resources.ledger
    assert unseen(ledger, "bike_demand", later(minutes=59))[0] == ""
    assert "is over" in unseen(ledger, "bike_demand", later(minutes=61))[0]


def test_the_same_no_again_is_one_line_with_a_count(bike, rides):
    trained_once(bike, rides, cooldown_s=3600)
    bike.claim()
    bike.claim()
    assert last(bike).count == 2


def test_the_budget_of_trainings_is_counted_in_the_ledger(bike, rides):
    trained_once(bike, rides, daily_trainings=1)
    assert bike.claim() is None
    assert "1 trainings were begun within 24 hours, 1 are allowed" in last(bike).reason
    assert bike.claim(by_hand=True) is None, "a request by hand keeps to the budget"
    assert bike.claim(by_hand=True, force=True) is not None


def test_the_compute_budget_is_counted_in_the_ledger(bike, rides):
    trained_once(bike, rides)
    key = bike.resources.ledger.latest_training("bike_demand").key
    bike.resources.ledger.charge_compute(key, "trials/9", now(), 86_400.0, now())
    assert bike.claim() is None
    assert "(retrain.daily_compute_seconds)" in last(bike).reason


def test_a_training_that_died_is_resumed_beyond_the_daily_number_and_a_new_one_is_not(bike, rides):
    bike.change(training=QUICK, retrain={"min_new_rows": 1, "daily_trainings": 1})
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    begun = bike.freeze(bike.claim())
    assert bike.freeze(bike.claim()).key == begun.key
    assert bike.claim(by_hand=True, trials=9) is None, "another budget is another training"
    bike.ingest(rides("2011-04-01", "2011-05-01"))
    assert bike.claim() is None, "more rows are another training"


def test_the_breaker_counts_the_lost_and_a_changed_spec_or_a_new_drift_closes_it(bike, rides):
    trained_once(bike, rides, max_rejections=2)
    ledger = bike.resources.ledger
    [first] = ledger.ended_trainings("bike_demand", 9)
    snapshot = ledger.training(first.key).snapshot
    for key in ("lost-1", "lost-2"):
        assert bike.claim() is not None
        ledger.open_training(dataclasses.replace(snapshot, key=key, data_version=0), "run", now())
        ledger.record_judgement(key, judgement("lost"), now())
    assert bike.claim() is None
    assert "the last 2 challengers lost" in last(bike).reason
    assert bike.claim(by_hand=True) is not None
    ledger.answer_requests([last(bike).details["newest_request"]], None, "lost", "", now())
    assert bike.claim() is None
    ledger.request_retrain("bike_demand", "drift", "drift:v1:300", {"champion": 1}, now())
    assert bike.claim() is not None
    newest = last(bike).details["newest_request"]
    ledger.answer_requests([newest], None, "lost", "", now())
    assert bike.claim() is None
    bike.change(gates={"min_improvement": 0.02})
    assert bike.claim() is not None


def test_drift_counts_once_enough_windows_of_its_champion_drifted(bike, rides):
    trained_once(bike, rides, min_new_rows=99_999, drift_windows={"n": 2, "of": 3})
    ledger = bike.resources.ledger
    ledger.request_retrain("bike_demand", "drift", "drift:v1:300", {"champion": 1}, now())

    def look(verdict: str, stamp: str, champion: int = 1) -> None:
        word = DriftVerdict(verdict, "", 100, 100)
        ledger.record_drift(DriftReport("bike_demand", champion, word, "run", stamp, None), now())

    look("drift", "a")
    look("not_yet", "b")
    look("drift", "c", champion=2)
    assert bike.claim() is None
    assert "drift in 1 of the last 1 windows, 2 of 3 are required" in last(bike).reason
    look("no_drift", "d")
    assert bike.claim() is None
    look("drift", "e")
    assert bike.claim() is not None


def test_a_request_whose_event_was_lost_is_seen_and_only_until_train_looked(bike, rides):
    ledger = bike.resources.ledger
    assert unseen(ledger, "bike_demand", now())[0] == ""
    bike.ingest(rides("2011-01-01", "2011-01-05"))
    assert unseen(ledger, "bike_demand", now())[0] == "", "its event may be on its way"
    assert "not looked at" in unseen(ledger, "bike_demand", later(seconds=30))[0]
    assert bike.claim() is None
    assert unseen(ledger, "bike_demand", later(days=9))[0] == "", "rows must come, not time"
    bike.ingest(rides("2011-01-05", "2011-03-01"))
    assert "not looked at" in unseen(ledger, "bike_demand", later(seconds=30))[0]


def test_a_training_that_was_granted_and_vanished_is_seen_after_an_hour(bike, rides):
    bike.ingest(rides("2011-01-01", "2011-03-01"))
    assert bike.claim() is not None
    ledger = bike.resources.ledger
    assert unseen(ledger, "bike_demand", later(minutes=59))[0] == ""
    assert "did not end" in unseen(ledger, "bike_demand", later(minutes=61))[0]
