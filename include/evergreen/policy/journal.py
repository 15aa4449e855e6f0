"""The journal's chain: how an entry is written and hashed, and what is wrong with one. Pure.

An entry's document is its canonical JSON, and its digest the SHA-256 of the digest before it and
that document, both as ASCII text. So a digest vouches for every entry up to its own, and an anchor
(a digest that was noted outside of the ledger) for as many.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from include.evergreen.contracts import JournalAnchor, JournalEntry, JournalLink

#: What stands before the first entry.
GENESIS = "0" * 64
#: A reason or a comment is cut beyond this many characters: the whole of it is in the task's log.
LONGEST_TEXT = 2000

ProblemKind = Literal[
    "changed", "reordered", "missing", "rewritten", "truncated", "anchor_gone", "damaged"
]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a chain, and the number of the first entry that it concerns."""

    number: int
    kind: ProblemKind
    words: str


@dataclass(frozen=True)
class Verified:
    """What was found: every problem, the lowest number first.

    `entries` were looked at, `anchors` of them agree with an anchor of their own, and the last of
    those vouches for all before it. `waiting` are the entries after every anchor, of which nothing
    says yet that they were anchored.
    """

    entries: int
    anchors: int
    waiting: tuple[int, ...]
    problems: tuple[Problem, ...]


def link(entry: JournalEntry, number: int, previous: str, now: dt.datetime) -> JournalLink:
    """The entry as number `number` of its model's chain, after the digest `previous`.

    Raises:
        ValueError: the time has no zone, or the entry says what cannot have been.
    """
    if now.tzinfo is None:
        raise ValueError(f"The journal got the time {now.isoformat()} without a zone.")
    by_the_clock = entry.actor.kind == "clock"
    if (entry.kind == "approved" and by_the_clock) or (
        entry.kind == "expired" and not by_the_clock
    ):
        raise ValueError(
            f"{entry.event} of {entry.model} says '{entry.kind}' by {entry.actor.kind} "
            f"{entry.actor.name}: the clock approves nothing, and only it lets a proposal expire."
        )
    at = now.astimezone(dt.UTC).isoformat(timespec="microseconds")
    document = canonical({**entry.as_json(), "number": number, "at": at})
    return JournalLink(number, entry.event, previous, digest_of(previous, document), document)


def canonical(value: Any) -> str:
    """One text for equal values: sorted keys, no spaces, ASCII; NaN and infinities as text."""
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest_of(previous: str, document: str) -> str:
    """The SHA-256 of both texts, one after the other, in hex."""
    return hashlib.sha256((previous + document).encode("utf-8", "surrogatepass")).hexdigest()


def contents(document: str) -> dict[str, Any]:
    """What a document says; empty where it is no JSON object."""
    try:
        said = json.loads(document)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def cut(text: str) -> str:
    """A text that is not longer than an entry may hold, and says where it was cut."""
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:LONGEST_TEXT]} [cut: {len(text):,} characters in all]"


def verify(
    model: str, entries: Sequence[JournalLink], anchors: Iterable[JournalAnchor]
) -> Verified:
    """Everything that is wrong with a chain, in itself and against its anchors.

    Args:
        model: whose chain it is.
        entries: in the order in which they stand.
        anchors: all that were found, in any order.

    An entry that has no anchor is no problem while nothing says that it had one: a process may die
    before it anchors what it wrote. An anchor that contradicts its entry always is.
    """
    noted = sorted(anchors, key=lambda anchor: (anchor.number, anchor.digest, anchor.where))
    broken = _broken_links(model, entries)
    known = {entry.number: entry for entry in entries}
    agreeing = {a.number for a in noted if a.number in known and _agrees(known[a.number], a)}
    broken += _contradicted(known, noted, {problem.number for problem in broken})
    last_noted = noted[-1].number if noted else 0
    newest = [entry for entry in entries if entry.number > last_noted]
    broken += _anchor_gone([entry for entry in newest if entry.anchored_at is not None])
    return Verified(
        entries=len(entries),
        anchors=len(agreeing),
        waiting=tuple(entry.number for entry in newest if entry.anchored_at is None),
        problems=tuple(sorted(broken, key=lambda problem: problem.number)),
    )


def _broken_links(model: str, entries: Sequence[JournalLink]) -> list[Problem]:
    """What is wrong with the chain in itself."""
    found: list[Problem] = []
    expected, previous = 1, GENESIS
    for entry in entries:
        follows = entry.number == expected
        if entry.number > expected:
            found.append(_missing(expected, entry.number))
        problem = _wrong_entry(model, entry, expected)
        if problem is None and follows and entry.previous != previous:
            words = f"entry {entry.number} follows another entry than the one before it: "
            words += f"it has {entry.previous[:12]}, and that one is {previous[:12]} now"
            problem = Problem(entry.number, "rewritten", words)
        if problem is not None:
            found.append(problem)
        expected, previous = max(expected, entry.number + 1), entry.digest
    return found


def _wrong_entry(model: str, entry: JournalLink, expected: int) -> Problem | None:
    """What is wrong with an entry by itself, or with where it stands."""
    seen = digest_of(entry.previous, entry.document)
    if seen != entry.digest:
        words = f"entry {entry.number} is not what was hashed: its digest is {entry.digest[:12]}, "
        return Problem(entry.number, "changed", f"{words}and what it holds has {seen[:12]}")
    said = contents(entry.document)
    if (said.get("model"), said.get("number")) != (model, entry.number):
        words = f"entry {entry.number} was written as number {said.get('number')} "
        words += f"of {said.get('model')}: it stands in another's place"
        return Problem(entry.number, "reordered", words)
    if said.get("event") != entry.event:
        words = f"entry {entry.number} is filed as {entry.event!r}, and is {said.get('event')!r}"
        return Problem(entry.number, "changed", words)
    if entry.number < expected:
        words = f"entry {entry.number} stands after number {expected - 1}"
        return Problem(entry.number, "reordered", words)
    return None


def _missing(first: int, following: int) -> Problem:
    last = following - 1
    which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    return Problem(first, "missing", f"{which} missing: number {following} stands next")


def _agrees(entry: JournalLink, anchor: JournalAnchor) -> bool:
    return digest_of(entry.previous, entry.document) == anchor.digest


def _contradicted(
    known: dict[int, JournalLink], anchors: Iterable[JournalAnchor], told: set[int]
) -> list[Problem]:
    """Where an anchor holds another digest than the chain, or one of an entry beyond its end."""
    last, found, beyond = max(known, default=0), list[Problem](), list[JournalAnchor]()
    for anchor in anchors:
        entry = known.get(anchor.number)
        if anchor.number > last:
            beyond.append(anchor)
        elif entry is not None and not _agrees(entry, anchor) and anchor.number not in told:
            told.add(anchor.number)
            seen = digest_of(entry.previous, entry.document)[:12]
            words = f"entry {anchor.number} has the digest {seen}, and {anchor.where} holds "
            words += f"{anchor.digest[:12]}: the chain was written anew"
            found.append(Problem(anchor.number, "rewritten", words))
    if beyond:
        words = f"the chain ends with entry {last}, and {beyond[0].where} holds the digest of "
        words += f"entry {beyond[0].number}: the end was cut off"
        found.append(Problem(last + 1, "truncated", words))
    return found


def _anchor_gone(entries: Sequence[JournalLink]) -> list[Problem]:
    """The newest entries were anchored, and no anchor is found of them or of any after them."""
    if not entries:
        return []
    first = entries[0]
    words = f"entry {first.number} was anchored at {first.anchored_at}, and its anchor is gone: "
    words += "was its run or version deleted for good? Nothing outside of the ledger vouches for it"
    return [Problem(first.number, "anchor_gone", words)]


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"The journal takes texts as keys, and got {key!r}.")
    return key
