"""What a service says of the requests it has answered is read as it was counted."""

from __future__ import annotations

import math

from include.evergreen.stages.release.counters import Counters, read_counters

LABELS = 'model="rides",version="2"'
PAGE = f"""\
# HELP evergreen_requests_total Requests answered, by path and status.
evergreen_requests_total{{{LABELS},path="invocations",status="200"}} 90.0
evergreen_requests_total{{{LABELS},path="invocations",status="400"}} 5.0
evergreen_requests_total{{{LABELS},path="invocations",status="500"}} 3.0
evergreen_requests_total{{{LABELS},path="v2",status="503"}} 2.0
evergreen_requests_total{{{LABELS},path="other",status="500"}} 7.0
evergreen_request_duration_seconds_bucket{{{LABELS},path="invocations",le="0.01"}} 90.0
evergreen_request_duration_seconds_bucket{{{LABELS},path="invocations",le="1"}} 98.0
evergreen_request_duration_seconds_bucket{{{LABELS},path="invocations",le="+Inf"}} 98.0
evergreen_request_duration_seconds_bucket{{{LABELS},path="v2",le="0.01"}} 0.0
evergreen_request_duration_seconds_bucket{{{LABELS},path="v2",le="1"}} 2.0
evergreen_request_duration_seconds_bucket{{{LABELS},path="v2",le="+Inf"}} 2.0
evergreen_prediction_bucket{{{LABELS},le="10"}} 3.0
evergreen_prediction_bucket{{{LABELS},le="+Inf"}} 4.0
evergreen_predicted_class_total{{{LABELS},class="a \\"b\\""}} 7.0
"""


def test_only_predictions_count_and_only_the_service_s_own_errors_are_failures() -> None:
    counters = read_counters(PAGE)
    assert counters == Counters(
        100, 5, {"0.01": 90, "1": 100, "+Inf": 100}, 5, {"10": 3, "+Inf": 4}, {r"a \"b\"": 7}
    )
    assert counters.p99_ms == 10 + 0.9 * 990
    assert read_counters("") == Counters()
    assert Counters.from_json(counters.as_json()) == counters


def test_only_what_came_since_counts_and_all_of_it_after_a_new_start() -> None:
    before, after = Counters(100, 5, {"1": 100, "+Inf": 100}), read_counters(PAGE)
    assert after.since(before) == Counters(
        0, 0, {"0.01": 90, "1": 0, "+Inf": 0}, 5, {"10": 3, "+Inf": 4}, {r"a \"b\"": 7}
    )
    assert Counters(7).since(before) == Counters(7)


def test_the_percentile_of_nothing_is_none_and_beyond_the_last_bound_is_that_bound() -> None:
    assert math.isnan(Counters().p99_ms)
    assert Counters(10, 0, {"1": 0, "+Inf": 10}).p99_ms == 1000


def test_how_many_were_slower_is_linear_within_a_bucket():
    counters = Counters(100, 0, {"0.01": 90, "0.1": 97, "1": 99, "+Inf": 100})
    limits = (5.0, 10.0, 55.0, 100.0, 550.0, 1000.0, 5000.0)
    assert [counters.slower_than(ms) for ms in limits] == [55, 10, 6, 3, 2, 1, 1]
    assert counters.slower_than(math.nan) == 0
    assert counters.slower_than(math.inf) == 0
    assert Counters().slower_than(1.0) == 0
