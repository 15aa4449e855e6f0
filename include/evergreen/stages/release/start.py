"""The image that staging verified runs in production, beside what answers, and proves itself."""

from __future__ import annotations

import datetime as dt

from include.evergreen.contracts import Proposal, Verification
from include.evergreen.errors import ArtifactRefused, VerificationFailed
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.promote import proven_by
from include.evergreen.stages.deploy.records import live_record
from include.evergreen.stages.deploy.services import PRODUCTION, runtime_for
from include.evergreen.stages.deploy.traffic import shut_door
from include.evergreen.stages.deploy.verify import Proof, verify_candidate
from include.evergreen.stages.release.approval import require_approval
from include.evergreen.stages.release.journal import journal
from include.evergreen.stages.release.stand import stand_of
from include.evergreen.stages.release.switch import still_to_replace
from include.evergreen.stages.resources import Resources


@under_deployment_lease(PRODUCTION)
def start_in_production(
    resources: Resources, proposal: Proposal, *, now: dt.datetime
) -> Verification:
    """The candidate runs in production and has proven itself there; clients know nothing of it yet.

    One that is live already, or whose strategy is under way, in a release that was interrupted, is
    left as it is: a load test would slow what clients are answered by.

    Raises:
        LeaseLost: another version went live since this one was proposed.
        NotApproved: the ledger has no word that lets this very proposal in.
        ArtifactRefused: the image that staging verified is not there any more.
        VerificationFailed: with every failed check; the candidate was removed.
        SettingsError: the spec asks for a door, and what it needs is missing.
        Unsupported: it does, and there is nothing it could be in.
    """
    image = proposal.image
    still_to_replace(resources, proposal)  # a run of long ago that is cleared starts nothing
    live = live_record(resources.ledger, resources.model, PRODUCTION)
    if live is not None and live.service and live.service.image_digest == image.digest:
        return proven_by(live, live.service)
    require_approval(resources, proposal)
    stand = stand_of(resources, proposal.version)
    if stand is not None and stand.proven.service.image_digest == image.digest:
        return stand.proven
    runtime = runtime_for(resources, image)
    shut_door(resources, PRODUCTION, runtime)
    if not runtime.has(image):
        raise ArtifactRefused(
            f"The image {image.reference} of {image.model} v{image.version} ({image.digest}) is "
            f"not there any more. Run {image.model}.deploy by hand with version {image.version}."
        )
    try:
        return verify_candidate(resources, image, Proof(PRODUCTION), now=now)
    except VerificationFailed as failure:
        journal(resources, "failed", proposal, str(failure).partition("\n")[0], now=now)
        raise
