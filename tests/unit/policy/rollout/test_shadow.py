"""A version that answers nobody passes only on enough answers that are near the champion's."""

import json
import math
import statistics

import pytest

from include.evergreen.policy.rollout.evidence import Observed
from include.evergreen.policy.rollout.shadow import Pairs, Replayed, ShadowRules, decide_shadow

RULES = ShadowRules(min_requests=200, max_difference=0.5, max_error_share=0.01, deadline_s=86_400.0)


def word(replayed, failures, difference, *, elapsed_s=60.0, rules=RULES):
    return decide_shadow(
        Pairs(Observed(replayed, failures), difference), rules, elapsed_s=elapsed_s
    ).word


@pytest.mark.parametrize(
    ("replayed", "failures", "difference", "expected"),
    [
        (200, 0, 0.5, "pass"),
        (199, 0, 0.5, "not_yet"),
        (201, 2, 0.1, "not_yet"),  # 199 pairs
        (202, 2, 0.1, "pass"),
        (0, 0, None, "not_yet"),
        (200, 0, 0.501, "fail"),
        (199, 0, 9.0, "not_yet"),  # too few to tell
        (200, 0, math.inf, "fail"),
        (200, 0, math.nan, "not_yet"),
        (200, 0, None, "not_yet"),
        (250, 3, 0.1, "not_yet"),  # 1.2%, which may be chance
        (1_000, 10, 0.1, "pass"),
        (1_000, 30, 0.1, "fail"),
        (10, 5, None, "fail"),
    ],
)
def test_what_was_replayed_decides(replayed, failures, difference, expected):
    assert word(replayed, failures, difference) == expected


def test_where_none_may_fail_one_is_too_many():
    strict = ShadowRules(200, 0.5, 0.0, 86_400.0)
    assert word(1_000, 0, 0.1, rules=strict) == "pass"
    assert word(1_000, 1, 0.1, rules=strict) == "fail"


@pytest.mark.parametrize("elapsed_s", [86_400.0, 1e9, math.nan])
@pytest.mark.parametrize(
    ("replayed", "difference"), [(0, None), (199, 0.1), (200, math.nan), (200, 0.1)]
)
def test_after_the_deadline_the_answer_is_no(elapsed_s, replayed, difference):
    assert word(replayed, 0, difference, elapsed_s=elapsed_s) == "fail"


def test_the_reason_has_the_numbers():
    pairs = Pairs(Observed(150, 1), 0.2)
    assert decide_shadow(pairs, RULES, elapsed_s=1.0).reason == (
        "149 requests were logged and compared since it began, 200 are needed"
    )
    late = decide_shadow(pairs, RULES, elapsed_s=86_400.0).reason
    assert late == (
        "the deadline of 86400 s is over: 149 requests were logged and compared since it began, "
        "200 are needed"
    )
    failing = decide_shadow(Pairs(Observed(20, 9), None), RULES, elapsed_s=1.0).reason
    assert failing == "of the replayed requests 9 of 20 failed (0.45), 0.01 may"
    passed = decide_shadow(Pairs(Observed(300, 0), 0.25), RULES, elapsed_s=1.0).reason
    assert passed == (
        "the answers to 300 requests differ by 0.25 on average, 0.5 is allowed; 0 of 300 failed (0)"
    )


def test_what_many_looks_compared_is_as_in_one():
    old, new = [5.0, 7.0, 9.0, 4.0], [5.5, 7.0, 8.0, 4.0]
    looks = Replayed().answered("1", old[:1], new[:1]).failed("2").answered("3", old[1:], new[1:])
    looks = Replayed.from_json(json.loads(json.dumps(looks.as_json())))
    pairs = looks.pairs(regression=True)
    assert (pairs.replayed, pairs.compared, looks.until) == (Observed(3, 1), 2, "3")
    assert pairs.mean_difference == pytest.approx(1.5 / 4 / statistics.pstdev(old))


@pytest.mark.parametrize(
    ("old", "new", "regression", "difference"),
    [
        ([], [], True, None),
        ([3.0, 3.0], [3.0, 3.0], True, 0.0),
        ([3.0, 3.0], [3.0, 3.1], True, math.inf),
        ([1.0, 2.0], [1, 2], True, 0.0),  # JSON has no 1.0
        (["a", "b", "a", "a"], ["a", "a", "a", "a"], False, 0.25),
        ([True, 1], [True, 1], False, 0.0),
    ],
)
def test_the_difference_of_answers(old, new, regression, difference):
    pairs = Replayed().answered("1", old, new).pairs(regression=regression)
    assert pairs.mean_difference == difference
