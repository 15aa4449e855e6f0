"""What release has said of a model's versions: read from the ledger, newest word first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from include.evergreen.adapters.ledger import Decision, Ledger
    from include.evergreen.policy.releasing import Word

STAGE = "release"
#: In the details of a decision: of which version, at which staging deployment release looked, and
#: until when it is at it.
VERSION, STAGED, UNTIL, PROPOSAL = "version", "staged", "until", "proposal"


def words(ledger: Ledger, model: str) -> Iterator[tuple[Word, Decision]]:
    """What release has said of the model's versions, newest first."""
    for decision in ledger.decisions_of(model, STAGE):
        if VERSION in decision.details:
            yield cast("Word", decision.verdict), decision


def last_word(ledger: Ledger, model: str, version: int) -> tuple[Word | None, Decision | None]:
    """What release said of a version last; None, None before it said anything.

    To have passed it over is no word on it: what was said before still holds.
    """
    for word, decision in words(ledger, model):
        if word != "passed_over" and decision.details[VERSION] == version:
            return word, decision
    return None, None


def why_of(decision: Decision | None) -> str:
    """The reason of a word without the version it is about."""
    return decision.reason.partition(": ")[2] if decision else ""
