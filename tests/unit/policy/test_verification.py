"""Every check says no when nothing was seen, and at its boundary says what it should."""

import math

import pytest

from include.evergreen.contracts import Check
from include.evergreen.policy import verification as policy
from include.evergreen.policy.verification import LoadResult, Probe


def predictions(served: list, wanted: list, tolerance: float = 1e-5) -> Check:
    return policy.check_predictions("golden", {"p": served}, {"p": wanted}, tolerance)


@pytest.mark.parametrize(
    ("served", "wanted", "passes"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([100.0 * (1 + 0.9e-5)], [100.0], True),
        ([100.0 * (1 + 1.1e-5)], [100.0], False),
        ([1e-17, 5.0], [0.0, 5.0], True),  # noise beside the column's scale
        ([1e-3, 5.0], [0.0, 5.0], False),
        ([0.0], [0.0], True),
        ([math.nan], [1.0], False),
        ([1.0], [math.nan], False),
        ([math.inf], [math.inf], False),
        ([1.0], [1.0, 2.0], False),
        ([], [1.0], False),
        ([], [], False),
        ([None], [1.0], False),
        (["up", "down"], ["up", "down"], True),
        (["up"], ["down"], False),
        ([1], ["1"], False),
        ([True], [True], True),
        ([1], [1.0], True),
    ],
)
def test_predictions_agree_to_the_tolerance_or_fail(
    served: list, wanted: list, passes: bool
) -> None:
    check = predictions(served, wanted)
    assert check.passed is passes, check


def test_no_prediction_at_all_fails() -> None:
    assert not policy.check_predictions("golden", {}, {"p": [1.0]}, 1e-5).passed
    assert not policy.check_predictions("golden", {}, {}, 1e-5).passed


def test_a_missing_probability_fails_and_is_named() -> None:
    check = policy.check_predictions(
        "golden", {"prediction": ["a"]}, {"prediction": ["a"], "probability_a": [0.5]}, 1e-5
    )
    assert not check.passed
    assert "probability_a" in check.seen


def test_a_signature_difference_names_the_path_and_both_sides() -> None:
    served = {"columns": {"hum": {"type": "float", "max": 1.0}}}
    wanted = {"columns": {"hum": {"type": "float", "max": 2.0}, "temp": {"type": "float"}}}
    check = policy.check_signature(served, wanted)
    assert not check.passed
    assert "columns.hum.max is 1.0, the spec says 2.0" in check.seen
    assert "columns.temp is null" in check.seen


def test_an_equal_signature_passes_whatever_the_order_of_keys() -> None:
    assert policy.check_signature({"a": 1, "b": (2, 3)}, {"b": [2, 3], "a": 1}).passed


def test_a_service_without_a_contract_fails() -> None:
    assert not policy.check_signature({}, {"columns": {"hum": {"type": "float"}}}).passed


def test_identity_needs_every_field() -> None:
    wanted = {"model": "m", "version": "3", "manifest_digest": "d"}
    assert policy.check_identity({**wanted, "version": 3, "more": 1}, wanted).passed
    assert not policy.check_identity({**wanted, "manifest_digest": "e"}, wanted).passed
    assert not policy.check_identity({}, wanted).passed
    assert not policy.check_identity({}, {}).passed


@pytest.mark.parametrize(
    ("status", "passes"),
    [(400, True), (422, True), (499, True), (200, False), (500, False), (0, False)],
)
def test_a_malformed_request_must_get_a_4xx(status: int, passes: bool) -> None:
    check = policy.check_refusals([Probe("broken JSON", status), Probe("no rows", 422)])
    assert check.passed is passes
    if not passes:
        assert "broken JSON" in check.seen


def test_no_malformed_request_sent_is_no_proof() -> None:
    assert not policy.check_refusals([]).passed


@pytest.mark.parametrize(
    ("load", "failing"),
    [
        (LoadResult(200, 0, 2.0, 5.0, 50.0), set()),
        (LoadResult(200, 1, 2.0, 5.0, 10.0), {"load_failures"}),
        (LoadResult(200, 0, 2.0, 5.0, 50.1), {"load_p99"}),
        (LoadResult(199, 0, 2.0, 5.0, 10.0), {"load_rate"}),
        (
            LoadResult(0, 0, 2.0, math.nan, math.nan),
            {"load_failures", "load_p99", "load_rate"},
        ),
    ],
)
def test_load_is_judged_at_the_service_levels(load: LoadResult, failing: set[str]) -> None:
    checks = policy.check_load(load, p99_ms=50.0, min_requests_per_s=100.0)
    assert {check.name for check in checks if not check.passed} == failing


def test_the_failure_says_what_was_seen_what_was_required_and_what_to_do() -> None:
    checks = [
        Check("healthy", passed=True, seen="healthy", required="x"),
        Check("load_p99", passed=False, seen="900 ms", required="at most 250 ms"),
    ]
    message = policy.failure_message("bike", 3, checks, "Traceback: boom")
    assert "1 of 2 checks failed" in message
    assert "load_p99: 900 ms; required: at most 250 ms" in message
    assert "healthy:" not in message
    assert "bike.deploy by hand with version 3" in message
    assert message.endswith("Traceback: boom")
