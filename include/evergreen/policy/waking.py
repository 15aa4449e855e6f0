"""Decides whether train must be woken because nobody else will. Pure: facts in, a reason out.

Asset events are dropped, and time sends none. What is pending therefore says itself, to whoever
looks, whether it waits for somebody to look.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

#: The event of a request normally wakes train sooner than this.
GRACE = dt.timedelta(seconds=20)
#: What was granted this long ago and is unanswered still was dropped on the way. One that fails
#: every time waits twice as long after each, up to the longest.
ABANDONED, LONGEST = dt.timedelta(hours=1), dt.timedelta(hours=24)


@dataclass(frozen=True)
class Newest:
    """The request that was made last of those that are pending."""

    id: int
    created_at: dt.datetime


@dataclass(frozen=True)
class Look:
    """The last time train looked: up to which request, at what, with which word.

    `settled`: the run that followed said "not yet" for lack of rows, so only rows can help.
    `times`: how often in a row it was the same word for the same reason.
    """

    seen_id: int
    at: dt.datetime
    verdict: str
    until: dt.datetime | None = None
    settled: bool = False
    times: int = 1


def why_wake(newest: Newest | None, look: Look | None, now: dt.datetime) -> str:
    """Why train should look again; empty where there is no need.

    Ids are compared, not times: a request carries the time at which its cause began, and may
    appear after a look that seems to be younger.
    """
    if newest is None:
        return ""
    if look is None or newest.id > look.seen_id:
        overdue = now - newest.created_at >= GRACE
        return f"request {newest.id} was not looked at yet" if overdue else ""
    if look.verdict == "not_yet" and look.until is not None and look.at < look.until <= now:
        return "what the last look had to wait for is over"
    if look.verdict == "go" and not look.settled and now - look.at >= _patience(look.times):
        return "the last training was granted and did not end"
    return ""


def _patience(times: int) -> dt.timedelta:
    doublings = min(times - 1, LONGEST // ABANDONED)  # far enough to be cut, not to overflow
    return min(ABANDONED * (1 << doublings), LONGEST)
