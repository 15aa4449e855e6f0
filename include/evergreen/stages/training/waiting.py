"""What waits to be trained for, and why: for the watcher, for the UI and for the command line."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from include.evergreen.policy.governor import wait
from include.evergreen.policy.waking import Look, Newest, why_wake

if TYPE_CHECKING:
    from include.evergreen.adapters.ledger import Decision, Ledger

STAGE = "train"
#: In the details of train's decisions: the newest request it knew of, and until when a "no" holds.
SEEN, UNTIL = "newest_request", "until"


def why_not(ledger: Ledger, model: str, now: dt.datetime) -> str:
    """Train's last word with its reason, and how long that is still to wait; empty before it."""
    decision = ledger.last_decision(model, STAGE)
    if decision is None:
        return ""
    still = wait(_until(decision), now)
    said = f"{decision.verdict.replace('_', ' ')}: {decision.reason}"
    return f"{said} ({still})" if still else said


def unseen(ledger: Ledger, model: str, now: dt.datetime) -> tuple[str, tuple[int, str]]:
    """Why train must be woken (empty: it need not), and what this stands on.

    Reads the ledger only: cheap enough to be asked every few seconds.
    """
    pending = ledger.pending_requests(model)
    if not pending:
        return "", (0, "")
    newest = Newest(pending[-1].id, dt.datetime.fromisoformat(pending[-1].created_at))
    decision = ledger.last_decision(model, STAGE)
    look = _look(ledger, model, decision) if decision else None
    return why_wake(newest, look, now), (newest.id, look.at.isoformat() if look else "")


def _look(ledger: Ledger, model: str, decision: Decision) -> Look:
    after = ledger.last_decision(model, "freeze", "judge")
    return Look(
        seen_id=int(decision.details.get(SEEN, 0)),
        at=decision.last_seen,
        verdict=decision.verdict,
        until=_until(decision),
        times=decision.count,
        settled=after is not None
        and after.verdict == "not_yet"
        and after.last_seen >= decision.last_seen,
    )


def _until(decision: Decision) -> dt.datetime | None:
    said = decision.details.get(UNTIL)
    return dt.datetime.fromisoformat(said) if said else None
