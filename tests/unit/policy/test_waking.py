"""When train must be woken because no event will do it."""

import datetime as dt

import pytest

from include.evergreen.policy.waking import Look, Newest, why_wake

NOW = dt.datetime(2026, 11, 21, 12, 0, tzinfo=dt.UTC)


def at(**length: float) -> dt.datetime:
    return NOW + dt.timedelta(**length)


OLD = Newest(7, at(hours=-2))


@pytest.mark.parametrize(
    ("newest", "look", "wakes"),
    [
        (None, None, False),
        (None, Look(7, at(hours=-1), "go"), False),
        (Newest(7, at(seconds=-19)), None, False),
        (Newest(7, at(seconds=-20)), None, True),
        # An event that was dropped: the last look knew of less. The clock of the cause is no help.
        (OLD, Look(6, at(minutes=-5), "nothing"), True),
        (OLD, Look(7, at(minutes=-5), "nothing"), False),
        (Newest(8, at(seconds=-5)), Look(7, at(minutes=-5), "go"), False),
        # A "no" that time lifts, and one that it does not.
        (OLD, Look(7, at(minutes=-5), "not_yet", until=at(seconds=1)), False),
        (OLD, Look(7, at(minutes=-5), "not_yet", until=NOW), True),
        (OLD, Look(7, at(minutes=-5), "not_yet"), False),
        (OLD, Look(7, NOW, "not_yet", until=NOW), False),
        # Granted, and never answered.
        (OLD, Look(7, at(minutes=-59), "go"), False),
        (OLD, Look(7, at(minutes=-60), "go"), True),
        (OLD, Look(7, at(minutes=-60), "go", settled=True), False),
        # One that fails every time is tried ever more rarely, but it is tried.
        (OLD, Look(7, at(minutes=-60), "go", times=2), False),
        (OLD, Look(7, at(minutes=-120), "go", times=2), True),
        (OLD, Look(7, at(hours=-23), "go", times=1_000_000), False),
        (OLD, Look(7, at(hours=-24), "go", times=1_000_000), True),
    ],
)
def test_train_is_woken_when_nobody_else_will(newest, look, wakes):
    assert bool(why_wake(newest, look, NOW)) is wakes
