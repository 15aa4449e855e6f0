"""Which version is to be released, and whether anything is: the ledger alone says so."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace

from include.evergreen.adapters.ledger import DeploymentRecord, Ledger
from include.evergreen.contracts import BuiltImage, Proposal
from include.evergreen.errors import ArtifactRefused, InputError
from include.evergreen.policy.approving import deadline
from include.evergreen.policy.releasing import SLACK, Standing, why_not_proposed
from include.evergreen.stages.deploy.build import judged_against, recorded_candidate
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.records import been_live, last_live, live_record
from include.evergreen.stages.deploy.services import PRODUCTION, STAGING, runtime_for
from include.evergreen.stages.deploy.settle import ALIASES, BACK, settle_deployments
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.journal import journal, say, who
from include.evergreen.stages.release.stand import stand_of, under_way
from include.evergreen.stages.release.words import (
    PROPOSAL,
    STAGED,
    UNTIL,
    VERSION,
    last_word,
    why_of,
    words,
)
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


@under_deployment_lease(PRODUCTION)
def choose_version(
    resources: Resources,
    version: int | None,
    reason: str = "",
    *,
    asked_by: str = "",
    now: dt.datetime,
) -> Proposal | None:
    """What is to be released: the version asked for by hand, else the one that is live in staging.

    Left to itself it proposes only what beat the champion of now, was never in production, was
    refused by nobody and has not failed there. A release that was interrupted after its switch, or
    while its strategy was under way, is gone on with first. Whatever a run left between ledger,
    registry and engine is settled before.

    Raises:
        InputError: the version asked for was never verified in staging.
        ArtifactRefused: the image that staging verified is not there any more.
    """
    settle_deployments(resources, PRODUCTION, now=now, alias_may_lag=True)
    is_new = version is not None and stand_of(resources, version) is None
    asked_for = _asked_for(resources, version) if version is not None and is_new else None
    rollout.end_overtaken(resources, version, clock=lambda: now)
    begun = _begun_before(resources, version)
    if begun is not None:
        return begun
    if asked_for is not None:
        return _proposed(resources, asked_for, reason, by_hand=True, asked_by=asked_by, now=now)
    staged = live_record(resources.ledger, resources.model, STAGING)
    if staged is None:
        log.info("Nothing is in staging.")
        _close_overdue(resources, now)
        return None
    why_not = why_not_proposed(_standing(resources, staged))
    if why_not:
        _pass_over(resources, staged, why_not, now)
        return None
    return _proposed(resources, staged, f"v{staged.version} proved itself in staging", now=now)


def _begun_before(resources: Resources, version: int | None) -> Proposal | None:
    """The proposal of an earlier run that is to be gone on with; None: there is none."""
    begun = under_way(resources)
    if begun is not None and version in {None, begun.proposal.version}:
        log.warning("The release of v%d is under way: it goes on.", begun.proposal.version)
        return begun.proposal
    if version is not None:
        return None
    proposal = _interrupted(resources) or _approved(resources)
    if proposal is not None:
        log.warning("The release of v%d was interrupted: it goes on.", proposal.version)
    return proposal


def superseded_by(ledger: Ledger, proposal: Proposal) -> int | None:
    """The newer version in staging that takes the place of a proposal that waits; None: none does.

    What a person asked for by hand is not superseded. Reads the ledger only: cheap enough to be
    asked every few seconds.
    """
    staged = live_record(ledger, proposal.model, STAGING)
    if proposal.by_hand or staged is None or staged.version <= proposal.version:
        return None
    return staged.version


def _asked_for(resources: Resources, version: int) -> DeploymentRecord:
    """The deployment by which a version proved itself in staging last."""
    recorded_candidate(resources, version)
    record = last_live(resources.ledger, resources.model, STAGING, version)
    if record is not None:
        return record
    raise InputError(
        f"{resources.model} v{version} was never verified in staging, and nothing unproven is "
        f"released. Run {resources.model}.deploy by hand with version {version} first."
    )


def _interrupted(resources: Resources) -> Proposal | None:
    """The proposal of what is live in production and was not watched to the end."""
    live = live_record(resources.ledger, resources.model, PRODUCTION)
    if live is None or live.reason.startswith(BACK):  # that was watched once already
        return None
    word, decision = last_word(resources.ledger, resources.model, live.version)
    if word != "releasing" or decision is None:
        return None
    return Proposal.from_json(decision.details[PROPOSAL])


def _approved(resources: Resources) -> Proposal | None:
    """What was approved of the version in staging and not begun, where nothing changed since."""
    staged = live_record(resources.ledger, resources.model, STAGING)
    if staged is None:
        return None
    word, decision = last_word(resources.ledger, resources.model, staged.version)
    if word != "approved" or decision is None:
        return None
    proposal = Proposal.from_json(decision.details[PROPOSAL])
    live = resources.ledger.deployment(resources.model, PRODUCTION)
    answering, image = live.version if live else None, verified_image(resources, staged)
    unchanged = (proposal.staged, proposal.replaces, proposal.image) == (
        staged.id,
        answering,
        image,
    )
    return proposal if unchanged else None


def _standing(resources: Resources, staged: DeploymentRecord) -> Standing:
    ledger, model = resources.ledger, resources.model
    live = ledger.deployment(model, PRODUCTION)
    word, decision = last_word(ledger, model, staged.version)
    return Standing(
        version=staged.version,
        judged_against=judged_against(resources, recorded_candidate(resources, staged.version)),
        champion=live.version if live else _champion_of_old(resources),
        been_live=last_live(ledger, model, PRODUCTION, staged.version) is not None,
        last_word=word or "",
        why=why_of(decision),
    )


def _champion_of_old(resources: Resources) -> int | None:
    """What the alias points at where nothing is in production: an installation from before there
    was a production made its staged version the champion.
    """
    try:
        return resources.registry.version_of(resources.model, ALIASES[PRODUCTION])
    except ArtifactRefused as error:
        log.warning("%s", error)
        return None


def _close_overdue(resources: Resources, now: dt.datetime) -> None:
    """Nothing can become of what was proposed once, so that nothing waits for it."""
    said = (decision for _, decision in words(resources.ledger, resources.model))
    newest = next((decision for decision in said if STAGED in decision.details), None)
    if newest is not None and newest.details.get(UNTIL):
        details = {STAGED: newest.details[STAGED]}
        why = "nothing is in staging"
        say(resources, "passed_over", newest.details[VERSION], why, now=now, details=details)


def _pass_over(
    resources: Resources, staged: DeploymentRecord, why_not: str, now: dt.datetime
) -> None:
    """Remember that this staged version was looked at, so that nothing wakes for it again."""
    log.info("v%d is not released: %s", staged.version, why_not)
    details = {STAGED: staged.id}
    say(resources, "passed_over", staged.version, why_not, now=now, details=details)


def _proposed(
    resources: Resources,
    staged: DeploymentRecord,
    reason: str,
    *,
    by_hand: bool = False,
    asked_by: str = "",
    now: dt.datetime,
) -> Proposal:
    ledger, model = resources.ledger, resources.model
    live, newest = ledger.deployment(model, PRODUCTION), live_record(ledger, model, STAGING)
    proposal = Proposal(
        model=model,
        version=staged.version,
        image=verified_image(resources, staged),
        staged=newest.id if newest else None,
        replaces=live.version if live else None,
        reason=reason,
        by_hand=by_hand,
        asked_by=asked_by,
        owner=resources.owner,
        at=now.isoformat(),
        after=_last_live(resources),
    )
    proposal = _made_before(resources, proposal) or proposal
    rules = resources.spec.deployment
    waits = rules.approval_rules.timeout_s if rules.approval == "required" else 0.0
    until = deadline(proposal, waits) + SLACK
    why = reason or "asked for by hand"
    journal(resources, "proposed", proposal, why, now=now, actor=who(asked_by), until=until)
    return proposal


def _last_live(resources: Resources) -> int | None:
    """The deployment that went live in production last, live still or not; None: none ever did."""
    records = been_live(resources.ledger, resources.model, PRODUCTION)
    return records[0].id if records else None


def _made_before(resources: Resources, proposal: Proposal) -> Proposal | None:
    """The same proposal as this run made it before; None where it did not, or it was answered."""
    word, decision = last_word(resources.ledger, proposal.model, proposal.version)
    if word != "proposed" or decision is None:
        return None
    made = Proposal.from_json(decision.details[PROPOSAL])
    return made if replace(proposal, at=made.at) == made else None


def verified_image(resources: Resources, record: DeploymentRecord) -> BuiltImage:
    """The image of a deployment that was live, digest for digest.

    Raises:
        ArtifactRefused: it was removed since, or another was built in its place.
    """
    service = record.service
    image = (
        resources.ledger.image(record.model, record.version, service.runtime) if service else None
    )
    again = f"Run {record.model}.deploy by hand with version {record.version}, then this again."
    if service is None or image is None:
        raise ArtifactRefused(
            f"The ledger has no image of {record.model} v{record.version}. {again}"
        )
    if image.digest != service.image_digest:
        raise ArtifactRefused(
            f"{record.model} v{record.version} was verified in {record.environment} as image "
            f"{service.image_digest}, and its image is {image.digest} now. {again}"
        )
    if not runtime_for(resources, image).has(image):
        raise ArtifactRefused(
            f"The image {image.reference} of {record.model} v{record.version} ({image.digest}) is "
            f"not there any more. {again}"
        )
    return image
