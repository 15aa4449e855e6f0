"""Decides which staged version is proposed for production, and when release must be woken. Pure.

Whatever was not compared with the version in production, has been there, was refused by a person
or has failed there is no proposal by itself; by hand it can be.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

#: What release says of a version, in the order in which a release goes.
Word = Literal[
    "passed_over",  # it is not proposed by itself
    "proposed",
    "superseded",  # by a newer staged version, before anybody approved it
    "approved",
    "rejected",  # by a person
    "expired",  # by the clock: nobody answered
    "shifting",  # its strategy is under way: a share of the requests is its own, or none
    "at_once",  # its strategy cannot be carried out here: it gets all requests at once
    "releasing",  # it is about to be sent every request, and is being watched
    "aborted",  # its strategy ended with no
    "failed",  # it did not prove itself in production, or broke there with nothing to go back to
    "rolled_back",
    "released",
]
#: Words with which a release of a version is over.
OVER: frozenset[Word] = frozenset(
    {"superseded", "rejected", "expired", "aborted", "failed", "rolled_back", "released"}
)
#: Words after which a version is proposed by hand only, as they are told.
_BY_HAND_ONLY: dict[str, str] = {
    "rejected": "was rejected",
    "aborted": "lost against the champion in production",
    "failed": "failed in production",
    "rolled_back": "was rolled back",
}
#: The event of a staged version normally wakes release sooner than this.
GRACE = dt.timedelta(seconds=20)
#: What was begun and did not end within its own time and this was dropped on the way. Looks renew
#: their word every few seconds, and a dead task is seen within a minute, and tried again. To wake
#: too early costs little: `max_active_runs` is 1, so the run comes after the one that is still at
#: work, and finds the work done.
SLACK = dt.timedelta(minutes=3)
#: A proposal that nobody answered is made again after this.
ASK_AGAIN = dt.timedelta(days=1)


@dataclass(frozen=True)
class Standing:
    """How a staged version stands.

    Attributes:
        version: the one that is live in staging.
        judged_against: the champion its judge compared it with; None where there was none.
        champion: in production, or, before the first release, what the alias points at.
        been_live: whether it is, or was, live in production.
        last_word: what release said of it last but that it was passed over; empty if nothing yet.
        why: the reason of that word.
    """

    version: int
    judged_against: int | None
    champion: int | None
    been_live: bool = False
    last_word: Word | Literal[""] = ""
    why: str = ""


@dataclass(frozen=True)
class Staged:
    """The deployment that is live in staging."""

    id: int
    at: dt.datetime


@dataclass(frozen=True)
class Look:
    """The last time release looked at a staged deployment: when, and until when it is at it."""

    staged: int | None
    at: dt.datetime
    until: dt.datetime | None = None


def why_not_proposed(standing: Standing) -> str:
    """Why a staged version is not proposed by itself; empty if it is."""
    if standing.been_live:
        return "it is or was in production"
    if standing.last_word in _BY_HAND_ONLY:
        return f"it {_BY_HAND_ONLY[standing.last_word]}: {standing.why}"
    champion, judged = standing.champion, standing.judged_against
    if champion not in {None, standing.version, judged}:
        against = f"champion v{judged}" if judged is not None else "no champion"
        return (
            f"it was judged against {against}, and v{champion} is the champion now: they were "
            "never compared"
        )
    return ""


def why_wake(staged: Staged | None, look: Look | None, now: dt.datetime) -> str:
    """Why release should look again; empty where there is no need.

    Ids are compared, not times, as in `waking.why_wake`.
    """
    if staged is not None and (look is None or look.staged is None or staged.id > look.staged):
        overdue = now - staged.at >= GRACE
        return f"staging deployment {staged.id} was not looked at yet" if overdue else ""
    if look is not None and look.until is not None and look.at < look.until <= now:
        return "the release that was begun did not end"
    return ""
