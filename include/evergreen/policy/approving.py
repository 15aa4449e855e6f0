"""Decides what an answer to "may this version be released?" comes to. Pure.

The option that was chosen does not prove that a person chose it: what the clock answers by default
approves nothing, and is nobody's word. Nor is what a person answers when the time is over.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Literal

from include.evergreen.contracts import Actor, Answer, Proposal

Outcome = Literal["approved", "rejected", "expired", "superseded"]


def why_not_counted(answer: Answer, users: Sequence[str]) -> str:
    """Why an answer is nobody's who may give it; empty where it counts.

    Airflow refuses such an answer itself, but not where it lets everybody answer anything, nor
    where the list was shortened while the question stood.

    Args:
        answer: what came back.
        users: the ids of those who may answer; empty: everybody may.
    """
    if not answer.person or not users or answer.person_id in users:
        return ""
    return (
        f"{answer.person} (user id '{answer.person_id}') answered, and is none of "
        f"deployment.approval_rules.users ({', '.join(users)})"
    )


def deadline(proposal: Proposal, timeout_s: float) -> dt.datetime:
    """Until when an answer counts, however often the question is asked anew."""
    return dt.datetime.fromisoformat(proposal.at) + dt.timedelta(seconds=timeout_s)


def outcome(answer: Answer, newer: int | None, until: dt.datetime) -> Outcome:
    """What becomes of the proposal.

    A person's no stands, whatever was staged meanwhile. A yes to what a newer staged version has
    replaced releases nothing: the newer one would be compared with nothing afterwards.

    Args:
        answer: what came back.
        newer: the staged version that has taken the proposal's place; None: none has.
        until: the deadline.
    """
    in_time = bool(answer.person) and dt.datetime.fromisoformat(answer.at) <= until
    if in_time and not answer.approves:
        return "rejected"
    if newer is not None:
        return "superseded"
    return "approved" if in_time else "expired"


def why(came_to: Outcome, answer: Answer, newer: int | None, waited_s: float) -> str:
    """The reason that is recorded: a person's comment where there is one."""
    if came_to == "superseded":
        said = f"; {answer.person} had approved it" if answer.person and answer.approves else ""
        return f"v{newer} is in staging now{said}"
    if came_to == "expired":
        late = f"; {answer.person} answered too late, at {answer.at}" if answer.person else ""
        return f"nobody answered within {waited_s:,.0f} s; it can be proposed again{late}"
    return answer.comment or "without a comment"


def actor(came_to: Outcome, answer: Answer) -> Actor | None:
    """Who decided: the person, the clock, or (None) the policy that lets a newer one go first."""
    if came_to == "superseded":
        return None
    return Actor("clock", "approval") if came_to == "expired" else Actor("person", answer.person)
