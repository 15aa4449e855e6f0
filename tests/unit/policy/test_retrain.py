"""What starts a training, and the reason of every 'no'."""

import pytest

from include.evergreen.contracts import RetrainRequest
from include.evergreen.policy.retrain import RetrainRules, decide

RULES = RetrainRules(on_new_data=True, min_new_rows=100, on_drift=True, min_rows=200)


def request(reason: str, number: int = 1) -> RetrainRequest:
    return RetrainRequest(number, "bike", reason, f"{reason}:{number}", "2026-01-01T00:00:00Z")  # type: ignore[arg-type]


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
    decision = decide(
        [request(reason, n) for n, reason in enumerate(reasons)],
        RULES,
        rows_total=rows[0],
        rows_since=rows[1],
        has_model=has_model,
        **options,
    )
    assert decision.verdict == verdict, decision.reason


def test_what_is_switched_off_in_the_spec_starts_nothing_and_says_which_switch():
    rules = RetrainRules(on_new_data=False, min_new_rows=1, on_drift=False, min_rows=200)
    pending = [request("new_data"), request("drift")]
    decision = decide(pending, rules, rows_total=10_000, rows_since=5_000, has_model=True)
    assert decision.verdict == "not_yet"
    assert decision.reason == (
        "new data does not retrain (retrain.on_new_data is off); "
        "drift does not retrain (retrain.on_drift is off)"
    )


def test_the_first_model_waits_only_for_rows_whatever_the_switches_say():
    rules = RetrainRules(on_new_data=False, min_new_rows=9_999, on_drift=False, min_rows=200)
    decision = decide([request("new_data")], rules, rows_total=200, rows_since=200, has_model=False)
    assert decision.verdict == "go"


def test_a_no_names_what_was_seen_and_what_is_required():
    decision = decide(
        [request("new_data")], RULES, rows_total=10_000, rows_since=99, has_model=True
    )
    assert decision.reason == (
        "99 new rows since the last training, 100 are required (retrain.min_new_rows)"
    )


def test_a_first_model_without_rows_says_how_many_it_needs():
    decision = decide([request("new_data")], RULES, rows_total=12, rows_since=12, has_model=False)
    assert decision.reason == ("12 rows so far, a first model needs 200 (training.min_rows)")
