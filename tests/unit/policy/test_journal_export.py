"""An export is verified by itself; what was damaged, forged or cut off in it is told."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.policy.journal_export import Exported, export, parse
from tests.unit.policy.test_journal import SOUND, anchors, at

JOURNAL = Exported("m", SOUND, anchors(SOUND))
TEXT = export([JOURNAL, Exported("n", [], [])])


def test_what_was_exported_is_read_and_verified() -> None:
    journals, problems = parse(TEXT)
    assert problems == []
    assert journals == [JOURNAL, Exported("n", [], [])]
    assert [journal.verified().problems for journal in journals] == [(), ()]


def sealed_anew(*journals: Exported) -> list[str]:
    """The kinds of problems in a file that a forger sealed."""
    read, problems = parse(export(journals))
    assert problems == []
    return [problem.kind for journal in read for problem in journal.verified().problems]


def test_a_forger_who_seals_the_file_is_seen_by_digests_and_anchors() -> None:
    forged = at(SOUND, 2, document=SOUND[1].document.replace("beat", "lost"))
    assert sealed_anew(dataclasses.replace(JOURNAL, entries=forged)) == ["changed"]
    assert sealed_anew(dataclasses.replace(JOURNAL, entries=SOUND[:2])) == ["truncated"]


@given(st.data())
def test_any_letter_that_is_changed_lost_or_added_is_seen(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TEXT) - 1))
    letter = data.draw(st.characters() | st.just(""))
    before = data.draw(st.booleans())
    changed = TEXT[:place] + letter + TEXT[place if before else place + 1 :]
    if changed != TEXT:
        assert parse(changed)[1]


@given(st.integers(0, len(TEXT) - 1))
def test_any_end_that_is_cut_off_is_seen(length: int) -> None:
    assert parse(TEXT[:length])[1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("no JSON", "line 2 cannot be read: JSONDecodeError"),
        ("[]", "line 2 cannot be read"),
        ("{}", "line 2 cannot be read: KeyError('entry')"),
        ('{"entry":{"number":1}}', "missing 4 required positional arguments"),
        ('{"entry":{"surprise":1}}', "unexpected keyword argument"),
        ('{"entry":null}', "line 2 cannot be read"),
        ('{"journal":"m","format":"evergreen-journal-9"}', "'evergreen-journal-1' is known"),
        ('{"anchor":{"number":"1","digest":"d","where":"w"}}', "another type than text"),
        ('{"anchor":{"number":1,"digest":null,"where":"w"}}', "another type than text"),
        (
            '{"entry":{"number":1,"event":"e","previous":"p","digest":"d","document":{}}}',
            "another type than text",
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_the_rest_is_read(line: str, words: str) -> None:
    lines = TEXT.splitlines()
    journals, problems = parse("\n".join([lines[0], line, *lines[1:], ""]))
    assert problems[0].kind == "damaged"
    assert problems[0].number == 2
    assert words in problems[0].words
    assert len(journals[0].entries) == 4


def test_a_file_without_a_head_or_with_nothing_is_told() -> None:
    (first, *_) = parse("\n".join(TEXT.splitlines()[1:]) + "\n")[1]
    assert "line 1 cannot be read: IndexError" in first.words
    assert parse("")[1][0].words == "the file is empty"
    assert json.loads(TEXT.splitlines()[0])["how"].startswith("digest = sha256(previous + document")
