"""Which staged version is proposed by itself, and when release is woken."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from include.evergreen.policy.releasing import (
    GRACE,
    Look,
    Staged,
    Standing,
    why_not_proposed,
    why_wake,
)

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
GOOD = Standing(version=3, judged_against=2, champion=2)


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({}, ""),
        ({"champion": None, "judged_against": None}, ""),
        ({"champion": None}, ""),
        ({"champion": 3}, ""),  # of an installation from before there was a production
        ({"champion": 1}, "it was judged against champion v2, and v1 is the champion now"),
        ({"judged_against": None}, "it was judged against no champion, and v2 is the champion"),
        ({"been_live": True}, "it is or was in production"),
        ({"last_word": "rejected", "why": "too risky"}, "it was rejected: too risky"),
        ({"last_word": "failed", "why": "load_p99"}, "it failed in production: load_p99"),
        ({"last_word": "aborted", "why": "shift"}, "it lost against the champion in production"),
        ({"last_word": "rolled_back", "why": "it ended"}, "it was rolled back: it ended"),
        ({"last_word": "expired"}, ""),
        ({"last_word": "superseded"}, ""),
        ({"last_word": "proposed"}, ""),
        ({"last_word": "approved"}, ""),
        ({"last_word": "releasing"}, ""),
        ({"last_word": "passed_over"}, ""),
    ],
)
def test_only_what_beat_the_champion_and_was_refused_by_nobody_is_proposed(changes, why_not):
    said = why_not_proposed(dataclasses.replace(GOOD, **changes))
    assert said.startswith(why_not)
    assert bool(said) == bool(why_not)


def staged(number: int = 7, ago: dt.timedelta = dt.timedelta(hours=1)) -> Staged:
    return Staged(number, NOW - ago)


def look(number: int | None = 7, until: dt.datetime | None = None) -> Look:
    return Look(number, NOW - dt.timedelta(minutes=30), until)


@pytest.mark.parametrize(
    ("stands", "looked", "wakes"),
    [
        (None, None, ""),
        (staged(), None, "staging deployment 7 was not looked at yet"),
        (staged(ago=GRACE), None, "staging deployment 7 was not looked at yet"),
        (staged(ago=GRACE - dt.timedelta(microseconds=1)), None, ""),
        (staged(), look(6), "staging deployment 7 was not looked at yet"),
        (staged(), look(None), "staging deployment 7 was not looked at yet"),
        (staged(), look(7), ""),
        (staged(), look(8), ""),
        (staged(), look(7, NOW), "the release that was begun did not end"),
        (staged(), look(7, NOW + dt.timedelta(seconds=1)), ""),
        (None, look(7, NOW), "the release that was begun did not end"),
        (staged(), look(7, NOW - dt.timedelta(hours=2)), ""),  # over before it was last said
    ],
)
def test_what_nobody_looked_at_and_what_did_not_end_wakes(stands, looked, wakes):
    assert why_wake(stands, looked, NOW) == wakes
