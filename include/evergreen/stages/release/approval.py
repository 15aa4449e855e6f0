"""Nobody's version reaches production against the spec's word on who has to approve it."""

from __future__ import annotations

import datetime as dt

from include.evergreen.contracts import Proposal
from include.evergreen.errors import NotApproved
from include.evergreen.policy.releasing import SLACK
from include.evergreen.stages.deploy.services import PRODUCTION
from include.evergreen.stages.release.journal import journal
from include.evergreen.stages.release.propose import superseded_by
from include.evergreen.stages.resources import Resources


def approve(resources: Resources, proposal: Proposal, *, now: dt.datetime) -> bool:
    """Whether the release goes on; False where a newer staged version has taken its place.

    Raises:
        NotApproved: somebody has to approve it (deployment.approval), and nobody has.
    """
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    if live is not None and live.version == proposal.version:
        return True  # of a release that was interrupted after its switch
    newer = superseded_by(resources.ledger, proposal)
    if newer is not None:
        journal(resources, "superseded", proposal, f"v{newer} is in staging now", now=now)
        return False
    if resources.spec.deployment.approval != "automatic":
        raise NotApproved(
            f"{proposal.model} v{proposal.version} needs somebody's approval "
            "(deployment.approval: required), and nobody has given it."
        )
    why = "deployment.approval is automatic"
    journal(resources, "approved", proposal, why, now=now, until=now + 3 * SLACK)
    return True
