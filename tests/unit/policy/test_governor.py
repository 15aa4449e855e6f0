"""What starts a training, and the reason of every 'no'."""

import datetime as dt

import pytest

from include.evergreen.contracts import RetrainRequest
from include.evergreen.policy.brakes import BrakeRules, Spent, Track
from include.evergreen.policy.governor import RetrainRules, Situation, decide, wait

NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)
RULES = RetrainRules(on_new_data=True, min_new_rows=100, on_drift=True, min_rows=200)


def ago(**length: float) -> dt.datetime:
    return NOW - dt.timedelta(**length)


def request(reason: str, number: int = 1) -> RetrainRequest:
    return RetrainRequest(number, "bike", reason, f"{reason}:{number}", "2026-01-01T00:00:00Z")  # type: ignore[arg-type]


def situation(
    total: int = 10_000, since: int = 5_000, *, has_model: bool = True, **values
) -> Situation:
    return Situation(total, since, has_model, NOW, **values)


def braked(track: Track, *reasons: str, has_model: bool = True, force: bool = False, **rules):
    """The decision on these requests, which meet their own rules."""
    limits = RetrainRules(
        on_new_data=True, min_new_rows=1, on_drift=True, min_rows=200, brakes=BrakeRules(**rules)
    )
    pending = [request(reason, n) for n, reason in enumerate(reasons or ("new_data",))]
    now = situation(has_model=has_model, track=track)
    return decide(pending, limits, now, force=force)


@pytest.mark.parametrize(
    ("reasons", "rows", "has_model", "options", "verdict"),
    [
        ([], (10_000, 0), True, {}, "nothing"),
        ([], (10_000, 10_000), False, {}, "nothing"),
        (["new_data"], (199, 199), False, {}, "not_yet"),
        (["new_data"], (200, 200), False, {}, "go"),
        (["new_data"], (10_000, 99), True, {}, "not_yet"),
        (["new_data"], (10_000, 100), True, {}, "go"),
        (["drift"], (10_000, 0), True, {}, "go"),
        (["drift", "new_data"], (10_000, 1), True, {}, "go"),
        (["manual"], (10_000, 0), True, {}, "go"),
        (["manual"], (199, 199), False, {}, "not_yet"),
        ([], (10_000, 0), True, {"scheduled": True}, "not_yet"),
        ([], (10_000, 1), True, {"scheduled": True}, "go"),
        ([], (199, 199), False, {"scheduled": True}, "not_yet"),
        (["schedule"], (10_000, 1), True, {}, "go"),
        ([], (0, 0), False, {"force": True}, "go"),
    ],
)
def test_a_request_is_granted_when_its_rule_is_met(reasons, rows, has_model, options, verdict):
    pending = [request(reason, n) for n, reason in enumerate(reasons)]
    decision = decide(pending, RULES, situation(*rows, has_model=has_model), **options)
    assert decision.verdict == verdict, decision.reason


def test_what_is_switched_off_in_the_spec_starts_nothing_and_says_which_switch():
    rules = RetrainRules(on_new_data=False, min_new_rows=1, on_drift=False, min_rows=200)
    pending = [request("new_data"), request("drift")]
    decision = decide(pending, rules, situation())
    assert decision.verdict == "not_yet"
    assert decision.reason == (
        "new data does not retrain (retrain.on_new_data is off); "
        "drift does not retrain (retrain.on_drift is off)"
    )


def test_the_first_model_waits_only_for_rows_whatever_the_switches_say():
    rules = RetrainRules(on_new_data=False, min_new_rows=9_999, on_drift=False, min_rows=200)
    decision = decide([request("new_data")], rules, situation(200, 200, has_model=False))
    assert decision.verdict == "go"


def test_a_no_names_what_was_seen_what_is_required_and_what_must_come():
    decision = decide([request("new_data")], RULES, situation(10_000, 99))
    assert decision.reason == (
        "99 new rows since the last training, 100 are required (retrain.min_new_rows): "
        "when 1 more came"
    )
    assert decision.until is None, "time brings no row"


def test_a_first_model_without_rows_says_how_many_it_needs():
    decision = decide([request("new_data")], RULES, situation(12, 12, has_model=False))
    assert decision.reason == (
        "12 rows so far, a first model needs 200 (training.min_rows): when 188 more came"
    )


@pytest.mark.parametrize(
    ("windows", "n", "of", "verdict"),
    [
        ([], 1, 1, "go"),
        ([True], 1, 1, "go"),
        ([False, True], 1, 1, "not_yet"),
        ([False, True], 1, 2, "go"),
        ([True], 2, 3, "not_yet"),
        ([], 2, 3, "not_yet"),
        ([True, False, True], 2, 3, "go"),
        ([True, False, False, True], 2, 3, "not_yet"),
        ([True, True, True], 3, 3, "go"),
    ],
)
def test_drift_counts_when_n_of_the_last_m_windows_drifted(windows, n, of, verdict):
    rules = RetrainRules(True, 100, True, 200, drift_windows=n, drift_windows_of=of)
    decision = decide([request("drift")], rules, situation(since=0, windows=windows))
    assert decision.verdict == verdict, decision.reason


def test_too_few_drifted_windows_say_how_many_more():
    rules = RetrainRules(True, 100, True, 200, drift_windows=2, drift_windows_of=3)
    decision = decide([request("drift")], rules, situation(since=0, windows=[True, False]))
    assert decision.reason == (
        "drift in 1 of the last 2 windows, 2 of 3 are required (retrain.drift_windows): "
        "when 1 more drifted"
    )


def test_a_cooldown_ends_to_the_second_and_says_when():
    held = braked(Track(last_ended=ago(minutes=20)), cooldown_s=3600)
    assert held.verdict == "not_yet"
    assert held.until == NOW + dt.timedelta(minutes=40)
    assert wait(held.until, NOW) == "in 40 minutes"
    assert held.reason == (
        "new_data must wait: the last training ended at 2026-11-21 11:40:00 UTC, and the next "
        "waits 1 hour (retrain.cooldown_s): not before 2026-11-21 12:40:00 UTC"
    )
    assert braked(Track(last_ended=ago(seconds=3599)), cooldown_s=3600).verdict == "not_yet"
    assert braked(Track(last_ended=ago(seconds=3600)), cooldown_s=3600).verdict == "go"


def test_the_daily_trainings_are_counted_over_any_24_hours():
    opened = [ago(hours=30), ago(hours=23), ago(hours=2)]
    held = braked(Track(opened=opened), daily_trainings=2)
    assert held.until == NOW + dt.timedelta(hours=1), "when the oldest of the two is a day old"
    assert "2 trainings were begun within 24 hours, 2 are allowed" in held.reason
    assert braked(Track(opened=opened), daily_trainings=3).verdict == "go"
    over = Track(opened=[ago(hours=h) for h in (20, 10, 5)])
    assert braked(over, daily_trainings=1).until == NOW + dt.timedelta(hours=19)


def test_the_compute_budget_frees_itself_piece_by_piece():
    spent = [Spent(ago(hours=25), 900), Spent(ago(hours=20), 60), Spent(ago(hours=1), 50)]
    assert braked(Track(spent=spent), daily_compute_seconds=111).verdict == "go"
    held = braked(Track(spent=spent), daily_compute_seconds=110)
    assert held.until == NOW + dt.timedelta(hours=4)
    assert "110 compute seconds were used within 24 hours, 110 are allowed" in held.reason


def test_the_breaker_opens_after_enough_rejections_and_lets_one_try_through_after_the_pause():
    lost = Track(rejections=3, last_rejected=ago(hours=1))
    assert braked(lost, max_rejections=4).verdict == "go"
    held = braked(lost, max_rejections=3, rejection_pause_s=7200)
    assert held.until == NOW + dt.timedelta(hours=1)
    assert "the last 3 challengers lost" in held.reason
    assert "one try every 2 hours" in held.reason
    assert braked(lost, max_rejections=3, rejection_pause_s=3600).verdict == "go"


def test_a_person_or_new_evidence_passes_the_breaker_and_a_person_the_cooldown():
    lost = {"rejections": 9, "last_rejected": ago(hours=1)}
    assert braked(Track(**lost)).verdict == "not_yet"
    assert braked(Track(**lost, new_evidence="the spec has changed")).verdict == "go"
    assert braked(Track(**lost), "new_data", "manual").verdict == "go"
    assert braked(Track(last_ended=NOW), "manual", cooldown_s=60).verdict == "go"


def test_a_person_needs_force_to_pass_a_budget():
    used = Track(opened=[ago(hours=1)])
    assert braked(used, "manual", daily_trainings=1).verdict == "not_yet"
    assert braked(used, "manual", daily_trainings=1, force=True).verdict == "go"


def test_a_first_model_keeps_to_the_budgets_and_to_nothing_else():
    lost = Track(rejections=9, last_rejected=NOW, last_ended=NOW, opened=[NOW])
    assert braked(lost, has_model=False, cooldown_s=60, daily_trainings=2).verdict == "go"
    held = braked(lost, has_model=False, daily_trainings=1)
    assert held.reason.startswith("the first model must wait: 1 trainings were begun")


def test_what_was_begun_is_finished_within_the_compute_budget_alone():
    begun = {"opened": [ago(hours=1)], "last_ended": NOW, "resumes": True}
    assert braked(Track(**begun), daily_trainings=1, cooldown_s=60).verdict == "go"
    crashing = Track(**begun, spent=[Spent(ago(hours=1), 500)])
    assert braked(crashing, daily_compute_seconds=500).verdict == "not_yet"


def test_several_brakes_are_all_named_and_the_last_one_counts():
    held = braked(
        Track(opened=[ago(hours=23)], last_ended=ago(minutes=1)),
        daily_trainings=1,
        cooldown_s=120,
    )
    assert "retrain.daily_trainings" in held.reason
    assert "retrain.cooldown_s" in held.reason
    assert held.until == NOW + dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (None, ""),
        (NOW, "now"),
        (NOW + dt.timedelta(seconds=30), "in 30 seconds"),
        (NOW + dt.timedelta(seconds=61), "in 1 minute 1 second"),
        (NOW + dt.timedelta(hours=26, minutes=5), "in 1 day 2 hours"),
    ],
)
def test_a_wait_is_said_in_words(until, said):
    assert wait(until, NOW) == said
