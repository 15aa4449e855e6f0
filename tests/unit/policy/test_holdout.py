"""Where the holdout begins, and when there is none yet."""

import pytest

from include.evergreen.policy.holdout import (
    HoldoutRules,
    boundary_by_hash,
    boundary_in_time,
    stable_hash,
    why_not_trainable,
)

DAY = 86_400


def rules(days=None, share=0.2, min_rows=10) -> HoldoutRules:
    return HoldoutRules(days=days, share=share, min_rows=min_rows)


def days(n: int) -> list[float]:
    return [float(i * DAY) for i in range(n)]


@pytest.mark.parametrize(
    ("given", "wanted", "held_out"),
    [
        ((100, 10, None), rules(days=14), (86, 140)),  # the newest 14 days
        ((20, 10, None), rules(days=14), (10, 100)),  # at most half of all
        ((100, 10, 79 * DAY), rules(days=14), (90, 100)),  # at most half of the 20 unseen days
        ((100, 10, 39 * DAY), rules(days=14), (86, 140)),
        ((100, 10, 97 * DAY), rules(days=14), (99, 10)),  # exactly min_rows
        ((100, 10, None), rules(share=0.2), (80, 200)),  # no days: a share
        ((100, 1, None), rules(share=0.2, min_rows=30), (70, 30)),  # min_rows, if that is more
        ((100, 1, None), rules(share=0.5, min_rows=50), (50, 50)),
        ((100, 10, 79 * DAY), rules(share=0.5), (90, 100)),
    ],
)
def test_the_holdout_is_the_newest_of_what_the_champion_has_not_seen(given, wanted, held_out):
    (n_days, a_day, seen), (first_day, rows) = given, held_out
    found = boundary_in_time(days(n_days), [a_day] * n_days, seen, wanted)
    assert (found.at, found.rows, found.why_not) == (first_day * DAY, rows, "")


@pytest.mark.parametrize(
    ("n_days", "a_day", "seen", "unseen"),
    [
        (0, 10, None, 0),
        (1, 10_000, None, 10_000),  # one time cannot be torn apart
        (19, 1, None, 19),
        (100, 10, 98 * DAY, 10),
        (100, 10, 99 * DAY, 0),
        (100, 10, 500 * DAY, 0),
    ],
)
def test_too_few_rows_to_hold_out_is_not_yet_with_the_count(n_days, a_day, seen, unseen):
    found = boundary_in_time(days(n_days), [a_day] * n_days, seen, rules(days=14))
    assert found.at is None
    assert f"of the {unseen:,} " in found.why_not
    assert "needs 10 (training.holdout.min_rows)" in found.why_not


def test_no_row_the_champion_has_seen_is_held_out():
    for seen in range(0, 95, 7):
        found = boundary_in_time(days(100), [10] * 100, seen * DAY, rules(days=60))
        assert found.at is None or found.at > seen * DAY


@pytest.mark.parametrize(
    ("n", "champion", "wanted", "rows"),
    [
        (1000, False, rules(share=0.2), 200),
        (1000, True, rules(share=0.2), 500),
        (40, False, rules(share=0.2, min_rows=15), 15),
        (20, False, rules(share=0.2, min_rows=10), 10),
    ],
)
def test_without_a_time_a_stable_share_is_held_out(n, champion, wanted, rows):
    hashes = [stable_hash(f"key {i}") for i in range(n)]
    found = boundary_by_hash(hashes, champion, wanted)
    assert found.rows == rows
    assert sum(h <= found.at for h in hashes) == rows


def test_rows_of_one_identity_stay_on_one_side():
    hashes = sorted(stable_hash(f"key {i // 2}") for i in range(100))
    found = boundary_by_hash(hashes, True, rules(min_rows=10))
    held_out = [h for h in hashes if h <= found.at]
    assert len(held_out) == found.rows == 50
    assert not set(held_out) & {h for h in hashes if h > found.at}


def test_one_identity_for_all_rows_cannot_be_split():
    found = boundary_by_hash([7] * 100, False, rules())
    assert found.at is None
    assert "the holdout has 0 rows of the 100 in all" in found.why_not


def test_the_hash_is_the_same_for_ever():
    assert stable_hash("ride 17") == 858570026295513


@pytest.mark.parametrize(
    ("train", "holdout", "classes", "why_not"),
    [
        ({"1": 9, "2": 3}, {"1": 4, "2": 2}, None, ""),
        ({"1": 9}, {"1": 4, "2": 2}, None, "the target is constant (1) in the train part"),
        ({"1": 9, "2": 1}, {"2": 2}, None, "the target is constant (2) in the holdout"),
        ({"no": 90, "yes": 10}, {"no": 9, "yes": 1}, ["no", "yes"], ""),
        (
            {"no": 90},
            {"no": 9, "yes": 1},
            ["no", "yes"],
            "class 'yes' is absent from the train part",
        ),
        ({"no": 90, "yes": 10}, {"no": 9}, ["no", "yes"], "class 'yes' is absent from the holdout"),
        ({}, {}, ["no", "yes"], "classes 'no', 'yes' are absent from the train part"),
        (
            {"a": 500, "b": 490, "c": 10},
            {"a": 50, "b": 50},
            ["a", "b", "c"],
            "",  # one of 'c' was to be expected: its absence says nothing
        ),
        (
            {"a": 500, "b": 400, "c": 100},
            {"a": 50, "b": 50},
            ["a", "b", "c"],
            "class 'c' is absent from the holdout",
        ),
    ],
)
def test_a_constant_target_or_an_absent_class_is_not_yet(train, holdout, classes, why_not):
    assert why_not_trainable(train, holdout, classes) == why_not
