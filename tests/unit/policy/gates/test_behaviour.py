"""An expectation may be broken by the share of the rows that it allows."""

import pytest

from include.evergreen.policy.gates.behaviour import Observed, check_behaviour

WORST = {"from": 1, "to": 2, "before": 10.0, "after": 12.5, "row": {"hour": 3}}


def observed(violations=0, n_rows=200, max_violations=0.0, **other):
    values = {"name": "a clerk is a clerk", "column": "clerk", "expect": "same", **other}
    return Observed(n_rows=n_rows, violations=violations, max_violations=max_violations, **values)


@pytest.mark.parametrize(
    ("violations", "max_violations", "passed"),
    [(0, 0.0, True), (1, 0.0, False), (10, 0.05, True), (11, 0.05, False), (200, 1.0, True)],
)
def test_a_share_of_the_rows_may_break_it(violations, max_violations, passed):
    assert check_behaviour([observed(violations, max_violations=max_violations)]).passed is passed


def test_one_broken_expectation_is_enough_and_is_told_with_an_example():
    found = check_behaviour([observed(), observed(12, name="twice", worst=WORST)])
    assert found.passed is False
    assert found.seen == (
        "twice: 12 of 200 rows (6.0%) break it, such as 10.0 to 12.5 where 'clerk' goes from 1 to 2"
    )
    assert found.required.endswith(
        "twice: the answer does not change with 'clerk' in all but 0.0% of the rows"
    )
    assert [row["holds"] for row in found.evidence["expectations"]] == [True, False]
    assert found.evidence["expectations"][1]["worst"] == WORST


def test_no_expectation_and_no_row_are_not_applicable():
    assert check_behaviour([]).passed is None
    found = check_behaviour([observed(n_rows=0)])
    assert found.passed is None
    assert found.seen == "no row of the holdout has a value in the columns"


def test_an_expectation_without_a_row_is_told_beside_those_that_hold():
    found = check_behaviour([observed(), observed(n_rows=0)])
    assert found.passed is True
    assert found.seen == "1 of 2 expectations hold, 1 had no row to be tried on"


def test_a_long_list_of_broken_ones_stops_at_ten():
    found = check_behaviour([observed(5, name=f"number {number}") for number in range(14)])
    assert found.seen.endswith("; and 4 more")
    assert found.seen.count("break it") == 10
