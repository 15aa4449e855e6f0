"""The journal alone says, in plain words, why each version is where it is."""

from __future__ import annotations

import dataclasses
import datetime as dt

from include.evergreen.contracts import Actor, JournalEntry, JournalLink
from include.evergreen.policy.journal import GENESIS, link
from include.evergreen.policy.journal_words import because, printable, standing, tell

NOW = dt.datetime(2026, 11, 30, 17, 3, tzinfo=dt.UTC)
JUDGE, CANARY = Actor("policy", "judge"), Actor("policy", "canary")
TRAINED = {"training_key": "abcdef0123456789", "image": "sha256:0123456789abcdef"}
SCORE = {"metric": "rmse", "n_rows": 100}


def chained(*entries: JournalEntry) -> list[JournalLink]:
    made: list[JournalLink] = []
    for number, entry in enumerate(entries, start=1):
        previous = made[-1].digest if made else GENESIS
        made.append(link(entry, number, previous, NOW + dt.timedelta(minutes=number)))
    return made


def entry(kind: str, to: int | None, from_: int | None = 1, **more) -> JournalEntry:
    values = {"actor": CANARY, "why": f"because of {kind}", **more}
    return JournalEntry(
        f"{kind}:{to}",
        "m",
        kind,
        from_version=from_,
        to_version=to,
        **values,  # type: ignore[arg-type]
    )


STORY = chained(
    entry(
        "judged",
        None,
        actor=JUDGE,
        why="70% better than champion v1 (rmse 40.3 against 136.2)",
        digests=TRAINED,
        evidence={
            "verdict": "won",
            "scores": {
                "challenger": {**SCORE, "value": 40.3},
                "champion": {**SCORE, "value": 136.2},
            },
            "gates": [{"name": "slices", "verdict": "failed"}, {"name": "size"}],
        },
        run="m.train manual__1",
    ),
    entry("registered", 2, actor=JUDGE, digests=TRAINED),
    entry("staged", 2, digests=TRAINED, evidence={"checks": [{"name": "ping", "passed": True}]}),
    entry("approved", 2, actor=Actor("person", "admin"), why="ok"),
    entry("released", 2, why="every step held", digests=TRAINED),
    entry("rolled_back", 1, 2, actor=Actor("clock", "watch"), why="errors 4%"),
)
RETIRED = (entry("released", 2), entry("retired", None, 2))


def test_a_release_is_told_with_its_judgement_and_who_approved_it() -> None:
    assert tell(STORY)[4] == (
        "#5 2026-11-30 17:08 released v2 (was v1) by policy canary: every step held; "
        "judged (#1): 70% better than champion v1 (rmse 40.3 against 136.2); "
        "approved by admin (#4): ok; training abcdef012345; image sha256:0123456789ab"
    )


def test_each_kind_is_told_in_its_own_words() -> None:
    lines = tell(STORY)
    assert lines[0] == (
        "#1 2026-11-30 17:04 judged a challenger 'won' (champion v1) by policy judge: "
        "70% better than champion v1 (rmse 40.3 against 136.2); "
        "challenger rmse 40.3, champion rmse 136.2; 2 gates, "
        "failed: slices; training abcdef012345; image sha256:0123456789ab; in m.train manual__1"
    )
    assert lines[2].startswith("#3 2026-11-30 17:06 staged v2 (was v1) by policy canary: ")
    assert "judged (#1)" in lines[2]
    assert "1 checks, failed: none" in lines[2]
    assert lines[3] == "#4 2026-11-30 17:07 approved v2 by admin: ok"
    assert lines[5] == "#6 2026-11-30 17:09 rolled back to v1 (was v2) by clock watch: errors 4%"
    nobody = entry("expired", 3, actor=Actor("clock", "approval"))
    told = tell(chained(entry("staging_failed", 3), nobody, entry("retired", None)))
    assert [line.split(" by ")[0].split(" ", 3)[3] for line in told] == [
        "did not stage v3 (v1 stays)",
        "let the proposal of v3 expire (v1 stays)",
        "retired v1",
    ]


def test_what_answers_where_is_the_newest_that_moved_it() -> None:
    assert standing(STORY) == [
        "In staging: v2, since #3 (2026-11-30 17:06).",
        "In production: v1, since #6 (2026-11-30 17:09).",
    ]
    assert standing(STORY[:5])[1] == "In production: v2, since #5 (2026-11-30 17:08)."
    places = standing(chained(entry("retired", None, 2)))
    assert [place.partition(",")[0] for place in places] == [
        "In staging: no version",
        "In production: no version",
    ]
    assert standing([]) == []


def test_why_a_version_is_in_production_is_told_in_order_and_of_it_alone() -> None:
    assert because(STORY[:5]) == [
        "Why v2 is in production:",
        (
            "- #1 2026-11-30 17:04 judged 'won' against v1 by policy judge: 70% better than "
            "champion v1 (rmse 40.3 against 136.2)"
        ),
        "- #3 2026-11-30 17:06 proved itself in staging by policy canary: because of staged",
        "- #4 2026-11-30 17:07 approved by admin: ok",
        "- #5 2026-11-30 17:08 released in place of v1 by policy canary: every step held",
    ]
    assert because(STORY) == [
        "Why v1 is in production:",
        "- #5 2026-11-30 17:08 replaced by v2 by policy canary: every step held",
        "- #6 2026-11-30 17:09 put back in place of v2 by clock watch: errors 4%",
    ]
    assert because(STORY[:4]) == because(chained(*RETIRED)) == because([]) == []


def test_of_the_steps_of_a_strategy_the_last_is_a_reason() -> None:
    steps = [entry("advanced", 2, why=f"step {n}") for n in range(3)]
    steps = [dataclasses.replace(one, event=f"e{n}") for n, one in enumerate(steps)]
    lines = because(chained(*steps, entry("released", 2)))
    assert [line.rpartition(": ")[2] for line in lines[1:]] == ["step 2", "because of released"]


def test_a_comment_cannot_speak_to_the_terminal() -> None:
    (line,) = tell(chained(entry("approved", 2, evidence={"comment": "\x1b[2J\nall is well"})))
    assert because(chained(entry("released", 2, why="\x1b[2J")))[1].endswith(": \\x1b[2J")
    assert line.endswith('comment: "\\x1b[2J\\nall is well"')
    assert printable("grün 100%") == "grün 100%"


def test_an_entry_that_was_made_unreadable_is_still_told() -> None:
    broken = JournalLink(1, "e", GENESIS, "d", "no JSON")
    assert tell([broken]) == ["#1 None None no version by None None: None"]
