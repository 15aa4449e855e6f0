"""The ledger: which work was asked for, who has claimed it, and what became of it.

Every effect is claimed here before and recorded after, under a key that says what it is, so that
doing a thing twice finds it done. A claim is a lease: who holds a stale one gets `LeaseLost` and
changes nothing. All times are arguments, aware, and kept in UTC.
"""

from __future__ import annotations

import threading

from include.evergreen.adapters.ledger.decisions import Decisions
from include.evergreen.adapters.ledger.deployments import Deployments
from include.evergreen.adapters.ledger.drift import Drift
from include.evergreen.adapters.ledger.files import Files
from include.evergreen.adapters.ledger.history import History
from include.evergreen.adapters.ledger.journal import Journal
from include.evergreen.adapters.ledger.leases import Leases
from include.evergreen.adapters.ledger.migrate import differences, is_current, upgrade
from include.evergreen.adapters.ledger.records import (
    ComputeCharge,
    Decision,
    DeploymentRecord,
    EndedTraining,
    FileClaim,
    HistoryRow,
    Lease,
    Ticket,
    TrainingRecord,
)
from include.evergreen.adapters.ledger.requests import Requests
from include.evergreen.adapters.ledger.spending import Spending
from include.evergreen.adapters.ledger.tickets import Tickets
from include.evergreen.adapters.ledger.trainings import Trainings
from include.evergreen.adapters.ledger.upkeep import Upkeep
from include.evergreen.effects import effect, read

__all__ = [
    "ComputeCharge",
    "Decision",
    "DeploymentRecord",
    "EndedTraining",
    "FileClaim",
    "HistoryRow",
    "Lease",
    "Ledger",
    "Ticket",
    "TrainingRecord",
    "open_ledger",
]

_opened: dict[str, Ledger] = {}
_opening = threading.Lock()


class Ledger(
    Files,
    Requests,
    Decisions,
    Trainings,
    Spending,
    Tickets,
    Deployments,
    Drift,
    History,
    Journal,
    Upkeep,
    Leases,
):
    """The whole ledger, on one SQLite file or PostgreSQL database. Safe among threads, processes
    and forks; every method is one transaction.
    """

    @effect
    def migrate(self) -> None:
        """Bring the schema to its newest revision; one SELECT where it is there already."""
        with self._reachable():
            if not is_current(self._engine):
                upgrade(self._engine)

    @read
    def schema_differences(self) -> list[str]:
        """How the database differs from what the code wants; empty where it does not."""
        with self._reachable():
            return differences(self._engine)


@read
def open_ledger(url: str) -> Ledger:
    """The ledger at this URL, migrated. One object a process and URL, also among threads."""
    with _opening:
        ledger = _opened.get(url)
        if ledger is None:
            ledger = _opened[url] = Ledger(url)
        ledger.migrate()
        return ledger
