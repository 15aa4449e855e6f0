"""Who decided what about a version after it was judged: entries that a card is given later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from include.evergreen.contracts import Fact, JournalLink
from include.evergreen.policy.journal import contents

#: Entries that answer "may this version serve?", and whether they say yes.
ANSWERS = {"approved": True, "rejected": False, "expired": False, "superseded": False}
#: Entries after which a version serves, or does not any more.
STANDING = {
    "released": "in production",
    "put_back": "in production",
    "replaced": "was in production",
    "rolled_back": "taken back",
    "aborted": "release given up",
    "retired": "retired",
}
#: What the journal calls these a card has as the judgement itself.
ITSELF = frozenset({"judged", "registered"})
#: What the journal says of the version that answered before, as its card has it.
_OF_THE_ONE_BEFORE = {"released": "replaced", "rolled_back": "rolled_back", "retired": "retired"}
#: What it says of the version that answers from now on, where a card has another word.
_OF_THE_ONE_NOW = {"rolled_back": "put_back"}


@dataclass(frozen=True)
class CardEntry(Fact):
    """One decision about the version of a card.

    Args:
        what: as the journal calls it: `staged`, `proposed`, `approved`, `rejected`, `expired`,
            `released`, `aborted`, `rolled_back`, `retired`, and the like; `replaced` where
            another version was released in its place, `put_back` where one was rolled back to it.
        at: when, ISO 8601 in UTC.
        by: who or what decided.
        by_kind: what the clock answered by default is never a person's.
        why: the reason or the comment.
        version: the version it is about.
        details: small JSON: the strategy, the traffic, the acceptance results.
    """

    what: str
    at: str
    by: str
    by_kind: Literal["person", "policy", "clock"]
    why: str = ""
    version: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


def decisions_in(journal: Iterable[JournalLink], version: int) -> list[CardEntry]:
    """What the journal says of a version, as its card tells it: the same entries, the same words.

    An entry that somebody made unreadable is none of them: `make journal` tells of it.
    """
    return [
        CardEntry(
            what,
            str(said["at"]),
            str(said["actor"]["name"]),
            said["actor"]["kind"],
            str(said["why"]),
            version,
            {"journal": said["number"]},
        )
        for said in map(contents, (link.document for link in journal))
        if (what := _what(said, version))
    ]


def _what(said: Mapping[str, Any], version: int) -> str:
    """What an entry says of a version, in a card's word; '' where it says nothing of it."""
    kind = str(said.get("kind", ""))
    if kind in ITSELF:
        return ""
    if said.get("to_version") == version:
        return _OF_THE_ONE_NOW.get(kind, kind)
    return _OF_THE_ONE_BEFORE.get(kind, "") if said.get("from_version") == version else ""


def with_entry(card: dict[str, Any], entry: CardEntry) -> dict[str, Any]:
    """The card with this decision, in order of time; one that it has already changes nothing."""
    entries = [CardEntry.from_json(known) for known in card["decisions"]]
    if entry not in entries:
        entries.append(entry)
    entries.sort(key=lambda known: known.at)
    return {**card, "decisions": [known.as_json() for known in entries]}


def standing_of(card: Mapping[str, Any]) -> str:
    """What became of the version, in a word or two."""
    if card["judgement"]["verdict"] != "won":
        return "not registered"
    for entry in reversed(card["decisions"]):
        if entry["what"] in STANDING:
            return STANDING[entry["what"]]
        if entry["what"] in ANSWERS:
            return str(entry["what"])
    return "not yet decided"
