"""Groups that are large enough may differ only so much."""

import math

import pytest

from include.evergreen.policy.gates.fairness import (
    FairnessRules,
    Group,
    MeasuredGroups,
    fairness,
)

RULES = FairnessRules("accuracy", 0.9, 0.3, 0.3, 0.5, 0.5)


def measured(*, women=0.9, parity=0.1, odds=0.1, gap=None, rows=100, judged=True):
    groups = (Group("women", rows, judged, women), Group("men", 500, True, 0.9))
    return MeasuredGroups("sex", groups, 0, parity, odds, gap)


@pytest.mark.parametrize(
    ("column", "passed", "seen"),
    [
        (measured(), True, "sex: a demographic parity difference of 0.100"),
        (measured(parity=0.3), True, "difference of 0.300"),
        (measured(parity=0.31), False, "sex: a demographic parity difference of 0.310"),
        (measured(odds=0.301), False, "sex: an equalized odds difference of 0.301"),
        (measured(parity=math.nan), False, "difference of nan"),
        (measured(parity=None, odds=None, gap=0.51), False, "a mean prediction gap of 0.510"),
        (measured(women=0.44), False, "group women 51.1% worse than overall (accuracy 0.44 again"),
        (measured(women=0.46), True, "group women 48.9% worse"),
        (measured(women=math.nan, parity=None, odds=None), True, "group men 0.0% worse"),
        (measured(judged=False, rows=3), None, "sex: women (3 rows), too few rows"),
    ],
)
def test_a_difference_is_held_to_its_limit(column, passed, seen):
    found = fairness([column], RULES)
    assert found.passed is passed
    assert seen in found.seen


def test_a_limit_without_a_figure_is_not_told_as_required():
    found = fairness([measured(parity=None, odds=None, gap=0.1)], RULES)
    assert found.required == (
        "mean prediction gap at most 0.5, no group more than 50% worse than overall"
    )


def test_of_many_groups_the_largest_and_the_worst_are_evidence():
    groups = [Group(f"g{i}", 1000 - i, True, 0.9) for i in range(40)]
    groups[39] = Group("worst", 60, True, 0.5)
    found = fairness([MeasuredGroups("town", groups, 7)], RULES)
    row = found.evidence["columns"][0]
    assert len(row["groups"]) == 15
    assert row["groups_left_out"] == 25
    assert row["groups"][-1]["name"] == row["worst_group"] == "worst"
    assert "town: 7 rows without a value" in found.seen
    assert fairness([], RULES).passed is None
    many = fairness([MeasuredGroups(f"c{i}", groups, 7) for i in range(20)], RULES).evidence
    assert [len(row["groups"]) for row in many["columns"]] == [3] * 20
    assert all(row["groups"][-1]["name"] == "worst" for row in many["columns"])
