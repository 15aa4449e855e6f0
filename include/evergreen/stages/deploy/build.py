"""Which version is to be staged, and its image; built once a version, without a network."""

from __future__ import annotations

import datetime as dt
import logging

from include.evergreen.contracts import BuiltImage, Candidate
from include.evergreen.errors import ArtifactRefused, Busy, InputError
from include.evergreen.stages.deploy.deployment_lease import (
    deployment_lease,
    under_deployment_lease,
)
from include.evergreen.stages.deploy.fetch_bundle import fetch_bundle
from include.evergreen.stages.deploy.services import PRODUCTION, STAGING
from include.evergreen.stages.deploy.settle import settle_deployments
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)


@under_deployment_lease(STAGING)
def choose_version(
    resources: Resources, version: int | None, *, now: dt.datetime
) -> Candidate | None:
    """The version to stage: the one asked for by hand, or the newest registered one not yet tried.

    Left to itself it never goes back to a version older than one that has been live. Whatever an
    interrupted run left between ledger, registry and engine is settled first.

    Raises:
        InputError: the version asked for is not one that the ledger knows.
    """
    settle_deployments(resources, STAGING, now=now)
    if version is not None:
        return recorded_candidate(resources, version)
    waiting = [
        candidate
        for candidate in resources.ledger.candidates_undeployed(resources.model)
        if _beat_the_champion(resources, candidate, now)
    ]
    if len(waiting) > 1:
        passed_over = ", ".join(f"v{candidate.version}" for candidate in waiting[1:11])
        log.info(
            "v%d is the newest of those waiting; not staged: %s", waiting[0].version, passed_over
        )
    return waiting[0] if waiting else None


def version_to_wake_for(resources: Resources, *, now: dt.datetime) -> Candidate | None:
    """The version that waits for a deployment to wake up; None while one is under way."""
    try:
        with deployment_lease(resources, STAGING, wait=False):
            return choose_version(resources, None, now=now)
    except Busy as busy:
        log.info("A deployment of %s is under way: %s", resources.model, busy)
        return None


@under_deployment_lease(STAGING)
def build_image(resources: Resources, candidate: Candidate, *, now: dt.datetime) -> BuiltImage:
    """The image of a candidate, from the registered bundle; found again if it was built before.

    Raises:
        ArtifactRefused: the bundle is not, digest for digest, the one the ledger recorded.
    """
    recorded = recorded_candidate(resources, candidate.version)
    if recorded.manifest_digest != candidate.manifest_digest:
        raise ArtifactRefused(
            f"{candidate.model} v{candidate.version} was registered with manifest "
            f"{recorded.manifest_digest}, and asked for with {candidate.manifest_digest}."
        )
    try:
        bundle = fetch_bundle(resources, candidate.version, recorded.manifest_digest)
    except ArtifactRefused as error:
        _give_up(resources, candidate, str(error), now)
        raise
    image = resources.runtime.build(
        bundle,
        model=candidate.model,
        version=candidate.version,
        manifest_digest=recorded.manifest_digest,
        training_key=recorded.training_key,
    )
    resources.ledger.record_image(image, now)
    log.info("%s v%d: %s image %s", image.model, image.version, image.runtime, image.reference)
    return image


def _beat_the_champion(resources: Resources, candidate: Candidate, now: dt.datetime) -> bool:
    """Whether the candidate was judged against the very version that is in production now.

    `train` and `release` run beside each other: a version may have been released after the judge
    looked. One that was never compared with it is given up; by hand it can still be staged. Before
    the first release there is no champion, and each version may follow the one before in staging.
    """
    champion = resources.ledger.deployment(resources.model, PRODUCTION)
    judged = judged_against(resources, candidate)
    if champion is None or judged == champion.version:
        return True
    why = never_compared(judged, champion.version)
    log.warning("%s v%d is not staged: %s", candidate.model, candidate.version, why)
    _give_up(resources, candidate, why, now)
    return False


def _give_up(resources: Resources, candidate: Candidate, why: str, now: dt.datetime) -> None:
    """Record that this version will not be staged by itself, so that nothing wakes for it again."""
    name = f"{candidate.model} v{candidate.version}, never started"
    ledger = resources.ledger
    deployment = ledger.begin_deployment(
        candidate.model, candidate.version, STAGING, name, now, run=resources.owner
    )
    ledger.finish_deployment(deployment, "failed", why, (), now, run=resources.owner)
    anchor_entries(resources, candidate.model, now=now)


def judged_against(resources: Resources, candidate: Candidate) -> int | None:
    """The champion that a candidate was judged against; None where there was none."""
    training = resources.ledger.training(candidate.training_key)
    return training.judgement.champion_version if training and training.judgement else None


def never_compared(judged: int | None, champion: int) -> str:
    """Why a version that was judged against another champion is not taken by itself."""
    against = f"champion v{judged}" if judged is not None else "no champion"
    return f"judged against {against}, and v{champion} is live now: they were never compared"


def recorded_candidate(resources: Resources, version: int) -> Candidate:
    """What the ledger recorded of a version when it was registered.

    Raises:
        InputError: no training registered it here.
    """
    snapshot = resources.ledger.snapshot_of_version(resources.model, version)
    training = resources.ledger.training(snapshot.key) if snapshot else None
    if training is None or training.candidate is None:
        raise InputError(
            f"{resources.model} v{version} is not a version that was judged and registered here, "
            "so nothing says what it must contain. Choose one from the model's page in MLflow that "
            "a training registered."
        )
    return training.candidate
