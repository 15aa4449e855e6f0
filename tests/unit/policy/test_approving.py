"""What an answer comes to."""

import datetime as dt

import pytest

from include.evergreen.contracts import Actor, Answer
from include.evergreen.policy import approving
from include.evergreen.policy.approving import Outcome

AT = "2026-11-30T12:00:00+00:00"
UNTIL = dt.datetime.fromisoformat(AT)
YES, NO = Answer(True, "reviewer", "7", "seen", AT), Answer(False, "reviewer", "7", "", AT)
LATE_AT = "2026-11-30T12:00:00.000001+00:00"
LATE = f"reviewer answered too late, at {LATE_AT}"
LATE_YES = Answer(True, "reviewer", "7", "", LATE_AT)
LATE_NO = Answer(False, "reviewer", "7", "", LATE_AT)
CLOCK, CLOCK_SAYS_YES = Answer(False), Answer(True)


@pytest.mark.parametrize(
    ("answer", "newer", "expected"),
    [
        (YES, None, "approved"),
        (NO, None, "rejected"),
        (CLOCK, None, "expired"),
        (CLOCK_SAYS_YES, None, "expired"),
        (YES, 4, "superseded"),
        (NO, 4, "rejected"),
        (CLOCK, 4, "superseded"),
        (CLOCK_SAYS_YES, 4, "superseded"),
        (LATE_YES, None, "expired"),
        (LATE_NO, None, "expired"),
        (LATE_YES, 4, "superseded"),
        (LATE_NO, 4, "superseded"),
    ],
)
def test_only_a_person_approves_or_rejects_and_only_in_time(
    answer: Answer, newer: int | None, expected: Outcome
) -> None:
    assert approving.outcome(answer, newer, UNTIL) == expected


@pytest.mark.parametrize(
    ("word", "answer", "actor", "why"),
    [
        ("approved", YES, Actor("person", "reviewer"), "seen"),
        ("rejected", NO, Actor("person", "reviewer"), "without a comment"),
        (
            "expired",
            CLOCK,
            Actor("clock", "approval"),
            "nobody answered within 3,600 s; it can be proposed again",
        ),
        (
            "expired",
            LATE_YES,
            Actor("clock", "approval"),
            f"nobody answered within 3,600 s; it can be proposed again; {LATE}",
        ),
        ("superseded", CLOCK, None, "v4 is in staging now"),
        ("superseded", LATE_NO, None, "v4 is in staging now"),
        ("superseded", YES, None, "v4 is in staging now; reviewer had approved it"),
    ],
)
def test_what_the_clock_did_is_never_told_as_a_person_s(
    word: Outcome, answer: Answer, actor: Actor | None, why: str
) -> None:
    assert approving.actor(word, answer) == actor
    assert approving.why(word, answer, 4, 3600.0) == why


@pytest.mark.parametrize(
    ("answer", "users", "counts"),
    [
        (YES, [], True),
        (YES, ["7"], True),
        (NO, ["3", "7"], True),
        (YES, ["3"], False),
        (NO, ["3"], False),
        (YES, ["reviewer"], False),  # a name is no id
        (CLOCK, ["3"], True),  # nobody's, and taken as nobody's
    ],
)
def test_an_answer_of_somebody_who_is_not_listed_does_not_count(
    answer: Answer, users: list[str], counts: bool
) -> None:
    why = approving.why_not_counted(answer, users)
    assert (why == "") is counts
    if not counts:
        assert why.startswith("reviewer (user id '7') answered, and is none of")
