"""Whether a model is retired: one word in the ledger, which every task of its DAGs looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.evergreen.adapters.ledger import Ledger

STAGE = "retire"


def why_retired(ledger: Ledger, model: str) -> str:
    """The reason for which a model was retired; empty: it is not."""
    decision = ledger.last_decision(model, STAGE)
    if decision is None or decision.verdict != "retired":
        return ""
    return decision.reason
