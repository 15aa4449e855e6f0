"""Which deployments of a model answer in an environment, or did; the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.evergreen.adapters.ledger import DeploymentRecord, Ledger


def live_record(ledger: Ledger, model: str, environment: str) -> DeploymentRecord | None:
    """The deployment that is live there now, whether it has a service or not."""
    records = ledger.deployments(model, ["live"], environment)
    return records[0] if records else None


def been_live(ledger: Ledger, model: str, environment: str) -> list[DeploymentRecord]:
    """Those that are or were live there, the one that was begun last first."""
    records = ledger.deployments(model, environment=environment)
    return [record for record in records if record.live_at is not None]


def last_live(
    ledger: Ledger, model: str, environment: str, version: int
) -> DeploymentRecord | None:
    """The deployment by which a version is, or was last, live there; None: it never was."""
    records = been_live(ledger, model, environment)
    return next((record for record in records if record.version == version), None)
