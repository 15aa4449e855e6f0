"""Whatever is done to a chain is seen, with the first number it was done to; a sound one is not."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.contracts import Actor, JournalAnchor, JournalEntry, JournalLink
from include.evergreen.policy.journal import (
    GENESIS,
    LONGEST_TEXT,
    canonical,
    contents,
    cut,
    digest_of,
    link,
    verify,
)

NOW = dt.datetime(2026, 11, 30, 17, 3, tzinfo=dt.UTC)
Chain = list[JournalLink]


def entry(event: str, why: str = "it beat v1", **more) -> JournalEntry:
    return JournalEntry(event, "m", "released", Actor("policy", "canary"), why, **more)


def chain(length: int, why: str = "it beat v1") -> Chain:
    made: Chain = []
    for number in range(1, length + 1):
        previous = made[-1].digest if made else GENESIS
        made.append(link(entry(f"e{number}", why), number, previous, NOW))
    return made


def anchors(entries: Chain, *numbers: int) -> list[JournalAnchor]:
    chosen = numbers or [found.number for found in entries]
    return [JournalAnchor(n, entries[n - 1].digest, f"v{n} in MLflow") for n in chosen]


def at(entries: Chain, place: int, **values) -> Chain:
    """The chain with other values in one entry."""
    changed = dataclasses.replace(entries[place - 1], **values)
    return [*entries[: place - 1], changed, *entries[place:]]


def rehashed(entries: Chain, start: int = 1) -> Chain:
    """What somebody with the ledger alone can do: all digests computed anew from a number on."""
    made = list(entries[: start - 1])
    for found in entries[start - 1 :]:
        previous = made[-1].digest if made else GENESIS
        digest = digest_of(previous, found.document)
        made.append(dataclasses.replace(found, previous=previous, digest=digest))
    return made


def renumbered(entries: Chain) -> Chain:
    return [dataclasses.replace(e, number=n) for n, e in enumerate(entries, start=1)]


def swapped(entries: Chain) -> Chain:
    first, second = entries[1], entries[2]
    return [entries[0], second, first, *entries[3:]]


SOUND = chain(4)
OTHERS = chain(4, "it lost, but who will know")
CHANGED = SOUND[1].document.replace("beat", "lost")


@pytest.mark.parametrize(
    ("done", "number", "kind", "words"),
    [
        (lambda c: at(c, 2, document=CHANGED), 2, "changed", "entry 2 is not what was hashed"),
        (lambda c: at(c, 2, document="no JSON"), 2, "changed", "entry 2 is not what was hashed"),
        (lambda c: at(c, 2, digest="f" * 64), 2, "changed", "its digest is ffffffffffff"),
        (lambda c: at(c, 2, previous="f" * 64), 2, "changed", "is not what was hashed"),
        (lambda c: at(c, 2, event="e9"), 2, "changed", "is filed as 'e9', and is 'e2'"),
        (lambda c: at(c, 2, number=9), 2, "missing", "entries 2 to 8 are missing"),
        (lambda c: [c[0], *c[2:]], 2, "missing", "entry 2 is missing: number 3 stands next"),
        (lambda c: c[1:], 1, "missing", "entry 1 is missing"),
        (lambda c: renumbered([c[0], *c[2:]]), 2, "reordered", "written as number 3 of m"),
        (swapped, 2, "missing", "entry 2 is missing"),
        (lambda c: renumbered(swapped(c)), 2, "reordered", "was written as number 3 of m"),
        (lambda c: [*c[:2], c[1], *c[2:]], 2, "reordered", "entry 2 stands after number 2"),
        (lambda c: [*c[:2], OTHERS[1], *c[2:]], 2, "reordered", "entry 2 stands after number 2"),
        (lambda c: [c[0], OTHERS[1], *c[2:]], 2, "rewritten", "follows another entry"),
        (lambda c: rehashed(at(c, 2, document=CHANGED)), 2, "rewritten", "v2 in MLflow holds"),
        (lambda c: rehashed([c[0], *c[2:]]), 2, "missing", "entry 2 is missing"),
        (lambda _: OTHERS, 1, "rewritten", "the chain was written anew"),
        (lambda c: c[:3], 4, "truncated", "ends with entry 3, and v4 in MLflow holds the digest"),
        (lambda _: [], 1, "truncated", "the chain ends with entry 0"),
    ],
)
def test_what_was_done_is_named_with_the_first_number(
    done: Callable[[Chain], Chain], number: int, kind: str, words: str
) -> None:
    first = verify("m", done(SOUND), anchors(SOUND)).problems[0]
    assert (first.number, first.kind) == (number, kind)
    assert words in first.words


def test_a_sound_chain_is_verified() -> None:
    found = verify("m", SOUND, anchors(SOUND))
    assert (found.entries, found.anchors, found.waiting, found.problems) == (4, 4, (), ())
    assert verify("m", [], []).problems == ()


def test_what_is_not_anchored_yet_is_no_problem_and_is_named() -> None:
    found = verify("m", SOUND, anchors(SOUND, 1, 2))
    assert (found.anchors, found.waiting, found.problems) == (2, (3, 4), ())


def test_a_later_anchor_vouches_for_earlier_entries_without_one() -> None:
    found = verify("m", SOUND, anchors(SOUND, 4))
    assert (found.anchors, found.waiting, found.problems) == (1, (), ())
    rewritten = rehashed(at(SOUND, 1, document=SOUND[0].document.replace("beat", "lost")))
    (problem,) = verify("m", rewritten, anchors(SOUND, 4)).problems
    assert (problem.number, problem.kind) == (4, "rewritten")


def test_an_anchor_that_was_there_and_is_gone_is_told() -> None:
    marked = at(SOUND, 4, anchored_at=NOW.isoformat())
    (problem,) = verify("m", marked, anchors(SOUND, 1, 2, 3)).problems
    assert (problem.number, problem.kind) == (4, "anchor_gone")
    assert f"was anchored at {NOW.isoformat()}, and its anchor is gone" in problem.words
    assert verify("m", at(SOUND, 2, anchored_at="x"), anchors(SOUND, 3)).problems == ()


def test_one_of_two_anchors_that_contradicts_is_a_problem() -> None:
    forged = JournalAnchor(2, "f" * 64, "the MLflow run r")
    (problem,) = verify("m", SOUND, [*anchors(SOUND), forged]).problems
    assert (problem.number, problem.kind) == (2, "rewritten")
    assert "the MLflow run r holds ffffffffffff" in problem.words


def test_another_models_chain_is_none_of_this() -> None:
    (first, *_) = verify("other", SOUND, []).problems
    assert (first.number, first.kind) == (1, "reordered")
    assert "written as number 1 of m" in first.words


# --- whatever is done ---------------------------------------------------------------------------

lengths = st.integers(2, 6)


@st.composite
def one_letter(draw: st.DrawFn) -> tuple[Chain, Chain]:
    """A chain, and the same with one letter of one text of one entry changed."""
    whole = chain(draw(lengths))
    number = draw(st.integers(1, len(whole)))
    name = draw(st.sampled_from(["event", "document", "previous", "digest"]))
    text = getattr(whole[number - 1], name)
    place = draw(st.integers(0, len(text) - 1))
    letter = draw(st.characters().filter(lambda new: new != text[place]))
    return whole, at(whole, number, **{name: text[:place] + letter + text[place + 1 :]})


@given(one_letter())
def test_any_letter_that_is_changed_is_seen_without_anchors(both: tuple[Chain, Chain]) -> None:
    whole, changed = both
    assert verify("m", whole, []).problems == ()
    assert verify("m", changed, []).problems


@given(lengths, st.data())
def test_any_other_order_insertion_or_deletion_is_seen(length: int, data: st.DataObject) -> None:
    whole = chain(length)
    other = data.draw(
        st.one_of(
            st.permutations(whole),
            st.lists(st.sampled_from([*whole, *OTHERS]), min_size=0, max_size=8),
        ).filter(lambda drawn: drawn != whole)
    )
    number = data.draw(st.booleans())
    found = verify("m", renumbered(other) if number else other, anchors(whole))
    assert found.problems


@given(lengths, st.data())
def test_any_rewriting_from_anywhere_on_is_seen_by_the_anchors(
    length: int, data: st.DataObject
) -> None:
    whole = chain(length)
    start = data.draw(st.integers(1, length))
    why = data.draw(st.text().filter(lambda text: text != "it beat v1"))
    previous = whole[start - 2].digest if start > 1 else GENESIS
    forged = link(entry(f"e{start}", why), start, previous, NOW)
    rewritten = rehashed([*whole[: start - 1], forged, *whole[start:]], start)
    assert verify("m", rewritten, []).problems == (), "in itself it is sound"
    first = verify("m", rewritten, anchors(whole)).problems[0]
    assert (first.number, first.kind) == (start, "rewritten")


@given(lengths, st.data())
def test_any_end_that_is_cut_off_is_seen_by_the_anchors(length: int, data: st.DataObject) -> None:
    whole = chain(length)
    kept = data.draw(st.integers(0, length - 1))
    (problem,) = verify("m", whole[:kept], anchors(whole)).problems
    assert (problem.number, problem.kind) == (kept + 1, "truncated")


# --- how an entry is written --------------------------------------------------------------------


def test_equal_entries_have_one_text_in_whatever_order_they_were_made() -> None:
    one = entry("e", evidence={"b": 1, "a": [0.1, None, True], "ü": "\ud800"})
    same = entry("e", evidence={"ü": "\ud800", "a": (0.1, None, True), "b": 1})
    east = NOW.astimezone(dt.timezone(dt.timedelta(hours=5)))
    first = link(one, 1, GENESIS, NOW)
    assert first == link(same, 1, GENESIS, east)
    assert first.document.isascii()
    assert json.loads(first.document)["at"] == "2026-11-30T17:03:00.000000+00:00"


def test_the_digest_is_what_anybody_computes_with_sha256() -> None:
    first, second, *_ = SOUND
    text = (first.digest + second.document).encode()
    assert second.digest == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_is_written_as_a_text(value: float) -> None:
    assert canonical({"a": [value]}) == f'{{"a":["{value}"]}}'


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {None: 1}}, {"a": object()}, {"a": NOW}])
def test_what_has_no_one_text_is_refused(value: dict) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        link(entry("e"), 1, GENESIS, dt.datetime(2026, 11, 30))


@pytest.mark.parametrize(
    ("kind", "actor", "allowed"),
    [
        ("approved", "person", True),
        ("approved", "policy", True),
        ("approved", "clock", False),
        ("expired", "clock", True),
        ("expired", "person", False),
        ("expired", "policy", False),
        ("rejected", "clock", True),
    ],
)
def test_a_default_of_the_clock_is_nobodys_word(kind: str, actor: str, *, allowed: bool) -> None:
    told = dataclasses.replace(entry("e"), kind=kind, actor=Actor(actor, "admin"))  # type: ignore[arg-type]
    if allowed:
        assert link(told, 1, GENESIS, NOW).number == 1
        return
    with pytest.raises(ValueError, match=f"'{kind}' by {actor} admin: the clock approves nothing"):
        link(told, 1, GENESIS, NOW)


@pytest.mark.parametrize("text", ["", "[1]", "null", "{", "\x00"])
def test_a_document_that_is_none_holds_nothing(text: str) -> None:
    assert contents(text) == {}


def test_a_long_text_says_where_it_was_cut() -> None:
    assert cut("a" * LONGEST_TEXT) == "a" * LONGEST_TEXT
    assert cut("a" * 2500) == "a" * LONGEST_TEXT + " [cut: 2,500 characters in all]"
