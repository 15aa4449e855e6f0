"""Where the line between drift and chance lies."""

import dataclasses

import pytest

from include.evergreen.policy.drift import (
    FALSE_ALARM_RATE,
    Measurement,
    chance_limit,
    decide_column,
    decide_drift,
    drift_cause,
    too_early,
)

MANY = Measurement("a", "psi", 0.0, 0.25, n_reference=1_000_000, n_current=1_000_000, cells=10)


def with_value(value: float, **changes) -> Measurement:
    return dataclasses.replace(MANY, value=value, **changes)


def decide(*measured: Measurement, least: int = 1):
    return decide_drift(measured, rows_reference=10, rows_current=10, min_drifted_columns=least)


@pytest.mark.parametrize(
    ("value", "drifted"), [(0.0, False), (0.2499, False), (0.25, True), (9.0, True)]
)
def test_the_threshold_itself_is_drift(value: float, drifted: bool):
    assert decide_column(with_value(value), 0.01).drifted is drifted


@pytest.mark.parametrize(
    ("method", "cells", "spread", "share", "expected"),
    [
        # chi-square with 9 degrees of freedom at 0.99 is 21.666; 1/100 + 1/100 = 0.02
        ("psi", 10, 0.0, 0.0, 0.02 * 21.666),
        ("jensen_shannon", 10, 0.0, 0.0, (0.02 * 21.666 / 8) ** 0.5),
        ("chi2", 10, 0.0, 0.0, (0.02 * 21.666 / 4) ** 0.5),
        ("ks", 0, 0.0, 0.0, 1.6276 * 0.02**0.5),  # Kolmogorov at 0.99
        ("wasserstein", 0, 1.0, 0.0, 0.02**0.5 * (0.7979 + 0.6028 * 2.3263)),
        ("null_share", 0, 0.0, 0.1, 2.3263 * (0.09 * 0.02) ** 0.5),
        ("unseen_share", 0, 0.0, 0.1, 2.3263 * (0.09 * 0.02) ** 0.5),
        ("psi", 1, 0.0, 0.0, 0.0),
    ],
)
def test_chance_reaches_what_the_tables_say(method, cells, spread, share, expected):
    measured = Measurement("a", method, 0, 0.25, 100, 100, cells, spread, share)
    assert chance_limit(measured, 0.01) == pytest.approx(expected, rel=2e-3)


def test_a_small_window_raises_the_limit_and_says_so():
    small = with_value(0.5, n_current=30)
    decided = decide_column(small, 0.001)
    assert decided.threshold > 0.9
    assert not decided.drifted
    assert "limit raised from 0.25: chance alone reaches" in decided.note
    assert "with 30 rows" in decided.note


def test_without_a_value_nothing_drifted():
    assert not decide_column(with_value(0.0, n_current=0), 0.01).drifted


def test_more_comparisons_ask_for_more_evidence():
    alone = decide(with_value(0.3, n_current=60, column="x"))
    among = decide(*(with_value(0.3, n_current=60, column=f"x{i}") for i in range(100)))
    assert among.columns[0].threshold > alone.columns[0].threshold
    assert FALSE_ALARM_RATE == 0.01


@pytest.mark.parametrize(("least", "verdict"), [(1, "drift"), (2, "drift"), (3, "no_drift")])
def test_enough_drifted_columns_are_an_alarm(least: int, verdict: str):
    decided = decide(
        with_value(0.3, column="a"),
        with_value(0.1, column="b"),
        with_value(0.4, column="c"),
        least=least,
    )
    assert decided.verdict == verdict
    assert decided.drifted_columns == ("a", "c")
    assert decided.reason == (
        f"2 of 3 columns drifted; {least} or more are an alarm. "
        "a psi 0.3 (limit 0.25); c psi 0.4 (limit 0.25)."
    )


def test_one_column_that_drifts_in_two_ways_counts_once():
    both = decide(with_value(0.3), with_value(0.5, method="null_share"), least=2)
    assert both.drifted_columns == ("a",)
    assert both.verdict == "no_drift"


def test_good_rows_never_hide_bad_requests():
    decided = decide(
        with_value(0.01, population="ingested rows"),
        with_value(0.8, population="served requests"),
    )
    assert len(decided.columns) == 1
    assert (decided.columns[0].value, decided.columns[0].note) == (0.8, "served requests")
    assert decided.verdict == "drift"


def test_a_long_list_of_drifted_columns_stops_at_ten():
    decided = decide(*(with_value(1.0, column=f"x{i}") for i in range(30)))
    assert decided.reason.endswith("; and 20 more.")


def test_no_column_to_compare_is_not_yet():
    assert decide().verdict == "not_yet"
    assert too_early("why", 3, 4).reason == "Not yet: why."


@pytest.mark.parametrize(
    ("fresh", "cause"),
    [
        (299, "drift:v3:300"),
        (300, "drift:v3:300"),
        (599, "drift:v3:300"),
        (600, "drift:v3:600"),
        (1199, "drift:v3:600"),
        (1200, "drift:v3:1200"),
    ],
)
def test_a_cause_is_a_champion_and_a_doubling_of_fresh_rows(fresh: int, cause: str):
    assert drift_cause(3, fresh, 300) == cause


def test_an_everlasting_drift_asks_a_logarithmic_number_of_times():
    causes = {drift_cause(1, rows, 300) for rows in range(300, 1_000_000, 300)}
    assert len(causes) == 12
