"""What a slice loses is held against the champion's score on the very same rows."""

import math

import pytest

from include.evergreen.policy.gates.slices import MeasuredSlice, slices


def part(challenger, champion=100.0, *, rows=50, metric="rmse", name="nights", baseline=200.0):
    return MeasuredSlice(
        name=name,
        rows=rows,
        missing=0,
        min_rows=30,
        max_loss=0.1,
        challenger=challenger,
        champion=champion,
        baseline=baseline,
        metric=metric,
    )


@pytest.mark.parametrize(
    ("measured", "passed"),
    [
        (part(110.0), True),  # exactly what it may lose
        (part(110.1), False),
        (part(50.0), True),
        (part(500.0, rows=29), None),  # too few rows
        (part(0.80, 0.9, metric="r2", baseline=0.0), False),
        (part(0.82, 0.9, metric="r2", baseline=0.0), True),
        (part(math.nan, math.nan, metric="r2"), None),  # undefined on these rows
        (part(math.nan, 0.9, metric="r2"), False),  # for the challenger alone
        (part(210.0, None), True),  # a first model, held against the naive baseline
        (part(221.0, None), False),
        (part(1e-9, 0.0), True),  # next to nothing, of a champion that is perfect
        (part(1.0, 0.0), False),
    ],
)
def test_a_slice_may_lose_so_much(measured, passed):
    assert slices([measured]).passed is passed


def test_the_worst_slices_are_told_first_with_their_figures_and_the_rest_counted():
    measured = [part(100.0, name="fine"), part(1.0, rows=3, name="few")]
    measured += [part(120.0 + i, name=f"bad {i}") for i in range(5)]
    found = slices(measured)
    assert found.passed is False
    assert found.seen == (
        "5 of 6 slices worse than the champion: bad 4 (50 rows) 24.0%, 124 against 100; "
        "bad 3 (50 rows) 23.0%, 123 against 100; bad 2 (50 rows) 22.0%, 122 against 100; "
        "and 2 more"
    )
    assert found.required == "at most 10% worse in each"
    verdicts = [row["verdict"] for row in found.evidence["slices"]]
    assert verdicts == ["passed", "too_few_rows", *["failed"] * 5]


def test_what_was_not_judged_is_said():
    found = slices([part(1.0, rows=3), part(90.0)])
    assert found.seen == (
        "1 slices, none much worse than the champion; 1 not judged (too few rows)"
    )
    assert slices([part(1.0, rows=3)]).seen == (
        "no slice has enough rows of the holdout; 1 not judged (too few rows)"
    )
    assert slices([]).passed is None
