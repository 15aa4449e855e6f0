"""What becomes of a file as a whole, at and around each bound."""

import dataclasses

import pytest

from include.evergreen.policy.quarantine import FileBounds, FileTally, judge_file

BOUNDS = FileBounds(
    max_quarantined_share=0.2, max_duplicate_share=0.5, max_categories=10, null_shares={"a": 0.1}
)
CLEAN = FileTally(rows=100, bad_rows=0, duplicate_rows=0, nulls={"a": 0, "b": 0}, categories={})


@pytest.mark.parametrize(
    ("counts", "state", "rule"),
    [
        ({}, "append", ""),
        ({"rows": 0}, "quarantine", "empty"),
        ({"bad_rows": 20}, "append", ""),
        ({"bad_rows": 21}, "stop", "quarantined_share"),
        ({"duplicate_rows": 50}, "append", ""),
        ({"duplicate_rows": 51}, "quarantine", "duplicate_rows"),
        ({"nulls": {"a": 10}}, "append", ""),
        ({"nulls": {"a": 11}}, "quarantine", "null_share"),
        ({"nulls": {"a": 100}}, "quarantine", "all_null"),
        ({"nulls": {"b": 100}}, "quarantine", "all_null"),
        ({"nulls": {"b": 99}, "bad_rows": 99}, "stop", "quarantined_share"),
        ({"categories": {"c": 10}}, "append", ""),
        ({"categories": {"c": 11}}, "quarantine", "too_many_categories"),
        ({"mixed_zones": ("t",)}, "quarantine", "mixed_zones"),
    ],
)
def test_each_bound(counts, state, rule):
    verdict = judge_file(dataclasses.replace(CLEAN, **counts), BOUNDS)
    assert (verdict.state, verdict.rule) == (state, rule)
    assert bool(verdict.reason) == (state != "append")


def test_a_column_that_may_miss_all_its_values_may():
    bounds = dataclasses.replace(BOUNDS, null_shares={"a": 1.0})
    assert judge_file(dataclasses.replace(CLEAN, nulls={"a": 100}), bounds).state == "append"


def test_a_reason_says_what_was_seen_what_is_allowed_and_what_to_do():
    tally = dataclasses.replace(CLEAN, rows=40_000, nulls={"a": 8_120})
    assert judge_file(tally, BOUNDS).reason == (
        "Column 'a' has 8,120 nulls in 40,000 rows (20.30%); the contract allows 10.00%. Fix the "
        "source, or raise max_null_share and replay quarantine."
    )
