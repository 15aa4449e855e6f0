"""Whether release must be woken because nobody else will: for the watcher of the ledger."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from include.evergreen.policy.releasing import Look, Staged, why_wake
from include.evergreen.stages.deploy.records import live_record
from include.evergreen.stages.release.retired import why_retired
from include.evergreen.stages.release.words import STAGED, UNTIL, words

if TYPE_CHECKING:
    from include.evergreen.adapters.ledger import Ledger
    from include.evergreen.contracts import Proposal


def unseen(ledger: Ledger, model: str, now: dt.datetime) -> tuple[str, tuple[int, str]]:
    """Why release must be woken (empty: it need not), and what this stands on.

    Reads the ledger only: cheap enough to be asked every few seconds.
    """
    record = live_record(ledger, model, "staging")
    staged = Staged(record.id, record.live_at) if record and record.live_at else None
    look = _last_look(ledger, model)
    standing = (staged.id if staged else 0, look.at.isoformat() if look else "")
    return why_wake(staged, look, now), standing


def why_not_wait(ledger: Ledger, proposal: Proposal) -> str:
    """Why nobody needs to answer for a proposal any more; empty while somebody does.

    Reads the ledger only: cheap enough to be asked every few seconds.
    """
    from include.evergreen.stages.release.propose import superseded_by

    newer = superseded_by(ledger, proposal)
    if newer is not None:
        return f"v{newer} is in staging now"
    return why_retired(ledger, proposal.model)


def _last_look(ledger: Ledger, model: str) -> Look | None:
    """The newest word that says at which staging deployment release looked."""
    for _, decision in words(ledger, model):
        details = decision.details
        if STAGED in details:
            until = details.get(UNTIL)
            return Look(
                details[STAGED],
                decision.last_seen,
                dt.datetime.fromisoformat(until) if until else None,
            )
    return None
