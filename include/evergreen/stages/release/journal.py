"""Every word of a release stands in the ledger before anything is done on its account.

The word is a decision of the stage `release`: whoever releases reads from it what was said of a
version before, and what watches over events reads what release has looked at. For good it is an
entry of the journal, made in the same transaction: neither is there without the other. What answers
in production is told in the very transaction in which it changes (`told` makes that entry).

An entry is of one attempt: a proposal's names the proposal by its digest, a deployment's the
deployment by its id. So a version that comes again is told again, and a retry is not.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from include.evergreen.contracts import Actor, Fact, JournalEntry, JournalKind, Proposal
from include.evergreen.policy.journal import canonical, cut, digest_of
from include.evergreen.policy.releasing import ASK_AGAIN, Word
from include.evergreen.stages.deploy.build import recorded_candidate
from include.evergreen.stages.release.on_card import tell_cards
from include.evergreen.stages.release.words import (
    PROPOSAL,
    STAGE,
    STAGED,
    UNTIL,
    VERSION,
)
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: Letters of a digest in an event.
_MARK = 12
#: Words that the journal keeps for good, as it names them.
_KINDS: dict[Word, JournalKind] = {
    "proposed": "proposed",
    "superseded": "superseded",
    "approved": "approved",
    "rejected": "rejected",
    "expired": "expired",
    "failed": "aborted",
    "aborted": "aborted",
    "shifting": "advanced",
    "at_once": "advanced",
    "released": "watched",
}
#: Words after which the model cards are told at once; what goes with a change of what answers in
#: production is told after it.
_TO_CARDS: frozenset[Word] = frozenset(
    {"superseded", "approved", "rejected", "expired", "failed", "released"}
)


def journal(
    resources: Resources,
    word: Word,
    proposal: Proposal,
    why: str,
    *,
    now: dt.datetime,
    actor: Actor | None = None,
    until: dt.datetime | None = None,
    evidence: dict[str, Any] | None = None,
    part: str = "",
    kind: JournalKind | None = None,
) -> None:
    """Record what became of a proposal, and why. An error here stops the release.

    Args:
        resources: of the model.
        word: what became of it.
        proposal: what it is about; `replaces` is the version from which it goes on.
        why: the reason, with its figures.
        now: the time.
        actor: who said so; None: this policy.
        until: by when the next word is due; later the release is taken up again. What nobody
            answered is asked again after `ASK_AGAIN`.
        evidence: small JSON: checks, counters, a person's comment.
        part: tells entries of one kind and proposal apart: which step of a canary it is.
        kind: what the journal calls it; None: as it calls this word.
    """
    details, entry = evidence or {}, None
    if word in _KINDS:
        entry = told(
            resources, kind or _KINDS[word], proposal.version, why, replaces=proposal.replaces,
            actor=actor, image=proposal.image.digest, evidence=details,
            marks=[mark_of(proposal), *([part] if part else [])],
        )  # fmt: skip
    if word == "expired" and until is None:
        until = now + ASK_AGAIN
    say_of(resources, word, proposal, why, now=now, until=until, details=details, entry=entry)
    if word in _TO_CARDS:
        tell_cards(resources)


def say_of(
    resources: Resources,
    word: Word,
    proposal: Proposal,
    why: str,
    *,
    now: dt.datetime,
    until: dt.datetime | None,
    details: dict[str, Any],
    entry: JournalEntry | None = None,
) -> None:
    """Record a word on a proposal, with its entry if it has one; once more it moves its `until`."""
    end = until.isoformat() if until else None
    details = {STAGED: proposal.staged, UNTIL: end, PROPOSAL: proposal.as_json(), **details}
    say(resources, word, proposal.version, why, now=now, details=details, entry=entry)


def told(
    resources: Resources,
    kind: JournalKind,
    version: int,
    why: str,
    *,
    replaces: int | None,
    actor: Actor | None = None,
    image: str = "",
    evidence: Mapping[str, Any] | None = None,
    marks: Sequence[str] = (),
) -> JournalEntry:
    """The entry of the journal: with the same `marks` the same one, however often it is told."""
    candidate = recorded_candidate(resources, version)
    rolls_back = kind in {"rolled_back", "rollback_failed"} and replaces is not None
    about = replaces if rolls_back else version
    digests = {"training_key": candidate.training_key, "manifest": candidate.manifest_digest}
    return JournalEntry(
        event=":".join([kind, f"v{about}", *marks]),
        model=resources.model,
        kind=kind,
        actor=actor or Actor("policy", STAGE),
        why=cut(why),
        run=resources.owner,
        from_version=replaces,
        to_version=version,
        evidence=dict(evidence or {}),
        digests={**digests, **({"image": image} if image else {})},
        mlflow_run=candidate.run_id,
    )


def mark_of(*what: Fact | str) -> str:
    """A few letters that tell a proposal, or whatever else, from every other one in an event."""
    said = [part if isinstance(part, str) else part.as_json() for part in what]
    return digest_of("", canonical(said))[:_MARK]


def who(asked_by: str) -> Actor | None:
    """The person who asked by hand; None where nobody did."""
    return Actor("person", asked_by) if asked_by else None


def say(
    resources: Resources,
    word: Word,
    version: int,
    why: str,
    *,
    now: dt.datetime,
    details: dict[str, Any],
    entry: JournalEntry | None = None,
) -> None:
    """Record a word on a version that is no proposal's: one passed over, or rolled back."""
    reason = f"v{version}: {why}"
    resources.ledger.record_decision(
        resources.model, STAGE, word, reason, {VERSION: version, **details}, now, entry=entry
    )
    log.info("%s %s %s", resources.model, word, reason)
