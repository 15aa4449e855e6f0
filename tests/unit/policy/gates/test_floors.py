"""A floor holds whatever the champion does."""

import math

import pytest

from include.evergreen.policy.gates.floors import Floor, floors


@pytest.mark.parametrize(
    ("metric", "value", "limit", "kept"),
    [
        ("rmse", 90.0, 90.0, True),
        ("rmse", 90.1, 90.0, False),
        ("r2", 0.8, 0.8, True),
        ("r2", 0.79, 0.8, False),
        ("neg_mean_absolute_error", -3.0, -4.0, True),
        ("neg_mean_absolute_error", -5.0, -4.0, False),
        ("rmse", math.nan, 90.0, False),
        ("r2", math.nan, 0.8, False),
    ],
)
def test_a_metric_is_held_to_its_floor(metric, value, limit, kept):
    found = floors([Floor(metric, value, limit)])
    assert found.passed is kept
    assert found.required == f"{metric} {'<=' if metric == 'rmse' else '>='} {limit:g}"


def test_only_what_is_broken_is_told_and_all_is_evidence():
    found = floors([Floor("rmse", 80.0, 90.0), Floor("mae", 70.0, 60.0)])
    assert found.passed is False
    assert found.seen == "mae 70"
    assert found.required == "mae <= 60"
    assert [row["verdict"] for row in found.evidence["floors"]] == ["passed", "failed"]


def test_no_floor_is_no_pass():
    assert floors([]).passed is None
