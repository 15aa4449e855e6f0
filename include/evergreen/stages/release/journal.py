"""Every word of a release stands in the ledger before anything is done on its account.

The word is a decision of the stage `release`. Whoever releases reads from it what was said of a
version before, and what watches over events reads what release has looked at.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any, cast

from include.evergreen.adapters.ledger import Decision, Ledger
from include.evergreen.contracts import Proposal
from include.evergreen.policy.releasing import Word
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

STAGE = "release"
#: In the details of a decision: of which version, at which staging deployment release looked, and
#: until when it is at it.
VERSION, STAGED, UNTIL, PROPOSAL = "version", "staged", "until", "proposal"


def journal(
    resources: Resources,
    word: Word,
    proposal: Proposal,
    why: str,
    *,
    now: dt.datetime,
    until: dt.datetime | None = None,
    evidence: dict[str, Any] | None = None,
) -> None:
    """Record what became of a proposal, and why. An error here stops the release.

    Args:
        resources: of the model.
        word: what became of it.
        proposal: what it is about; `replaces` is the version from which it goes on.
        why: the reason, with its figures.
        now: the time.
        until: by when the next word is due; later the release is taken up again.
        evidence: small JSON: checks, counters, a person's comment.
    """
    say(
        resources,
        word,
        proposal.version,
        why,
        now=now,
        details={
            STAGED: proposal.staged,
            UNTIL: until.isoformat() if until else None,
            PROPOSAL: proposal.as_json(),
            **(evidence or {}),
        },
    )


def say(
    resources: Resources,
    word: Word,
    version: int,
    why: str,
    *,
    now: dt.datetime,
    details: dict[str, Any],
) -> None:
    """Record a word on a version that is no proposal's: one passed over, or rolled back."""
    reason = f"v{version}: {why}"
    resources.ledger.record_decision(
        resources.model, STAGE, word, reason, {VERSION: version, **details}, now
    )
    log.info("%s %s %s", resources.model, word, reason)


def words(ledger: Ledger, model: str) -> Iterator[tuple[Word, Decision]]:
    """What release has said of the model's versions, newest first."""
    for decision in ledger.decisions_of(model, STAGE):
        if VERSION in decision.details:
            yield cast(Word, decision.verdict), decision


def last_word(ledger: Ledger, model: str, version: int) -> tuple[Word | None, Decision | None]:
    """What release said of a version last; None, None before it said anything."""
    for word, decision in words(ledger, model):
        if decision.details[VERSION] == version:
            return word, decision
    return None, None


def why_of(decision: Decision | None) -> str:
    """The reason of a word without the version it is about."""
    return decision.reason.partition(": ")[2] if decision else ""
