"""Entries of the journal that a run has left without their anchors."""

from __future__ import annotations

import datetime as dt

from include.evergreen.contracts import JournalLink
from include.evergreen.policy.journal import contents
from include.evergreen.policy.retention_facts import Decided, Thing
from include.evergreen.stages.journal import anchor_entry
from include.evergreen.stages.maintain.parts import NOBODY, Installation


class JournalPart:
    """Anchors what was not anchored: its process died, or MLflow was away."""

    name = "journal"

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def find(self, model: str) -> list[Thing]:
        if model == NOBODY:
            return []
        return [
            Thing("journal_entry", model, f"entry {entry.number}", _told_at(entry))
            for entry in self._installation.ledger.unanchored(model)
        ]

    def act(self, decided: Decided) -> None:
        installation, model = self._installation, decided.thing.model
        for entry in installation.ledger.unanchored(model):
            if f"entry {entry.number}" == decided.thing.name:
                anchor_entry(installation, model, entry, now=installation.now)


def _told_at(entry: JournalLink) -> dt.datetime | None:
    """None where it does not say: somebody changed it, and it is for a person to look."""
    try:
        return dt.datetime.fromisoformat(contents(entry.document)["at"])
    except (KeyError, TypeError, ValueError):
        return None
