"""What the ledger holds of the demo's model, looked up for its story."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.cli.loop.watch import Watch
from include.evergreen.contracts import Deployment, DriftReport
from include.evergreen.policy.journal import contents
from include.evergreen.policy.journal_words import tell


class Found:
    """Looks into the ledger of a watch, anew each time."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def registered(self, _: Facts) -> int | None:
        """The newest version that was registered."""
        training = self._watch.ledger.latest_training(self._watch.model, "registered")
        return training.candidate.version if training and training.candidate else None

    def lost_since(self, began: dt.datetime) -> str | None:
        """Why a challenger lost since then; None if none did."""
        for decision in self._watch.ledger.decisions(self._watch.model):
            if decision.stage == "judge" and decision.last_seen > began:
                return None if decision.verdict == "won" else decision.reason
        return None

    def drift_of(self, champion: int) -> Callable[[Facts], DriftReport | None]:
        """The report that says that the world has left this champion."""

        def seen(_: Facts) -> DriftReport | None:
            for report in self._watch.ledger.drift_reports(self._watch.model, limit=5):
                if report.champion_version == champion and report.verdict.verdict == "drift":
                    return report
            return None

        return seen

    def in_production(self) -> Deployment:
        """What answers in production now.

        Raises:
            DemoFailed: nothing does.
        """
        live = self._watch.ledger.deployment(self._watch.model, "production")
        if live is None:
            raise DemoFailed("Nothing is in production any more.")
        return live

    def why_it_is_there(self) -> str:
        """The journal's newest line on what went into production."""
        entries = self._watch.ledger.journal(self._watch.model)
        kinds = [contents(entry.document).get("kind") for entry in entries]
        told = [line for line, kind in zip(tell(entries), kinds, strict=True) if kind == "released"]
        return told[-1] if told else ""

    def said(self, stage: str) -> str:
        """The newest reason that a stage recorded."""
        for decision in self._watch.ledger.decisions(self._watch.model):
            if decision.stage == stage:
                return decision.reason
        return ""
