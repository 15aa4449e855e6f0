"""Who decided what about a version after it was judged: entries that a card is given later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from include.evergreen.contracts import Fact

#: Entries that answer "may this version serve?", and whether they say yes.
ANSWERS = {"approved": True, "rejected": False, "expired": False, "superseded": False}
#: Entries after which a version serves, or does not any more.
STANDING = {
    "released": "in production",
    "rolled_back": "taken back",
    "aborted": "release given up",
    "retired": "retired",
}


@dataclass(frozen=True)
class CardEntry(Fact):
    """One decision about the version of a card.

    Args:
        what: as the journal calls it: `staged`, `proposed`, `approved`, `rejected`, `expired`,
            `released`, `aborted`, `rolled_back`, `retired`, and the like.
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
