"""The version before is back in production: proven first, as the image that was there.

Nothing is trained or built. The version that is left is marked, so that nothing proposes it again
by itself, and no later rollback goes to it unasked. While a version is only on its way (canary,
shadow, a/b), going back is to end that, and the champion stays.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Sequence

from include.evergreen.adapters.ledger import DeploymentRecord
from include.evergreen.contracts import BuiltImage, Deployment, Return, Verification
from include.evergreen.errors import (
    ArtifactRefused,
    InputError,
    LeaseLost,
    ReleaseAborted,
    VerificationFailed,
    is_retryable,
)
from include.evergreen.policy.verification import failure_message
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.deploy.deployment_lease import under_deployment_lease
from include.evergreen.stages.deploy.promote import go_live, proven_by
from include.evergreen.stages.deploy.records import been_live
from include.evergreen.stages.deploy.services import GRACE_S, PRODUCTION, order_for, runtime_for
from include.evergreen.stages.deploy.settle import BACK, ROLLED_BACK
from include.evergreen.stages.deploy.traffic import refuse_without_door
from include.evergreen.stages.deploy.verify import Proof, prove
from include.evergreen.stages.release import rollout
from include.evergreen.stages.release.journal import mark_of, say, told, who
from include.evergreen.stages.release.on_card import tell_cards
from include.evergreen.stages.release.stand import UnderWay, under_way
from include.evergreen.stages.release.words import last_word, words
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

OWNER, TO, LEAVES = "owner", "to", "leaves"


def choose_return(
    resources: Resources, version: int | None, reason: str, *, asked_by: str = ""
) -> Return:
    """Where production goes back to: the version asked for, or the newest one that was live
    before and was not rolled back itself.

    Where none is named and a version is on its way by canary, shadow or a/b, that is what is left,
    and the champion stays. A run that is repeated gets the answer that it had.

    Raises:
        InputError: there is no (such) version to go back to.
    """
    model, records = resources.model, _in_production(resources)
    live = next((record.version for record in records if record.state == "live"), None)
    for _, decision in words(resources.ledger, model):
        details = decision.details
        if resources.owner and details.get(OWNER) == resources.owner:
            to, leaves = details[TO], details[LEAVES]
            if live in {to, leaves}:
                return Return(model, to, leaves, reason, asked_by, resources.owner)
    begun = _on_its_way(resources)
    if version is None and live is not None and begun is not None:
        return Return(model, live, begun.proposal.version, reason, asked_by, resources.owner)
    target = _record_of(model, records, live, version)
    return Return(model, target.version, live, reason, asked_by, resources.owner)


@under_deployment_lease(PRODUCTION)
def put_back(resources: Resources, wanted: Return, *, clock: Clock = utc_now) -> Deployment:
    """Production is answered by the version that is wanted back, and it is the champion.

    It proves itself by its own contract, whatever the spec says by now, before anything is
    switched. Repeated, it finds itself done.

    Raises:
        LeaseLost: another version went live since.
        ArtifactRefused: the image of that version is gone.
        VerificationFailed: it does not prove itself; what answered before still does.
        Unsupported: the spec asks for a door that it cannot have.
    """
    try:
        return _put_back(resources, wanted, clock)
    except (ArtifactRefused, VerificationFailed) as failure:
        why = str(failure).partition("\n")[0]
        entry = told(
            resources, "rollback_failed", wanted.version, why, replaces=wanted.leaves,
            actor=who(wanted.asked_by), marks=[mark_of(wanted, why)],
        )  # fmt: skip
        resources.ledger.append_journal(entry, clock())
        raise


def _put_back(resources: Resources, wanted: Return, clock: Clock) -> Deployment:
    ended = _end_strategy(resources, wanted, clock)
    if ended is not None:
        return ended
    model, records = resources.model, _in_production(resources)
    live = next((record for record in records if record.state == "live"), None)
    answering = live.version if live else None
    if answering not in {wanted.leaves, wanted.version}:
        raise LeaseLost(
            f"{model} was to go back from v{wanted.leaves} to v{wanted.version}, and v{answering} "
            f"answers by now. Run {model}.rollback again if it is still wanted."
        )
    reason = wanted.reason or "asked for by hand"
    why = f"{ROLLED_BACK} to v{wanted.version}: {reason}"
    if live is not None and live.service is not None and answering == wanted.version:
        proven = proven_by(live, live.service)
    else:
        proven = _proven(resources, _record_of(model, records, answering, wanted.version), clock())
    deployed = go_live(
        resources,
        PRODUCTION,
        proven,
        reason=f"{BACK}: {reason}",
        why_replaced=why,
        entry=told(
            resources,
            "rolled_back",
            wanted.version,
            reason,
            replaces=wanted.leaves,
            actor=who(wanted.asked_by),
            image=proven.service.image_digest,
        ),
        now=clock(),
    )
    details = {TO: wanted.version, LEAVES: wanted.leaves, OWNER: wanted.owner}
    about = wanted.version if wanted.leaves is None else wanted.leaves
    say(resources, "rolled_back", about, why, now=clock(), details=details)
    tell_cards(resources)
    return deployed


def _on_its_way(resources: Resources) -> UnderWay | None:
    """The release by canary, shadow or a/b of a version that is live nowhere yet."""
    begun = under_way(resources)
    if begun is None:
        return None
    been = {record.service_name for record in _in_production(resources)}
    return None if begun.stand.proven.service.name in been else begun


def _end_strategy(resources: Resources, wanted: Return, clock: Clock) -> Deployment | None:
    """The champion that stays where only a version on its way was left; None: more is to do."""
    live, begun = resources.ledger.deployment(resources.model, PRODUCTION), _on_its_way(resources)
    if live is None or live.version != wanted.version or wanted.leaves is None:
        return None
    by = {TO: wanted.version, LEAVES: wanted.leaves, OWNER: wanted.owner}
    if begun is not None and begun.proposal.version == wanted.leaves:
        try:
            rollout.abort(
                resources, begun.proposal, begun.stand.proven.service,
                f"ended by hand: {wanted.reason or 'asked for by hand'}",
                clock=clock, evidence=by, actor=who(wanted.asked_by),
            )  # fmt: skip
        except ReleaseAborted as end:
            log.info("%s", end)
            return live
    word, decision = last_word(resources.ledger, resources.model, wanted.leaves)
    was_ended = (
        word == "aborted" and decision is not None and by.items() <= decision.details.items()
    )
    return live if was_ended else None


def _in_production(resources: Resources) -> list[DeploymentRecord]:
    """What is or was live in production, the one that went live last first."""
    found = been_live(resources.ledger, resources.model, PRODUCTION)
    been = [(record.live_at, record) for record in found if record.live_at is not None]
    return [record for _, record in sorted(been, key=lambda pair: pair[0], reverse=True)]


def _record_of(
    model: str, records: Sequence[DeploymentRecord], live: int | None, version: int | None
) -> DeploymentRecord:
    """The deployment by which a version was live last; of the one before where none is named."""
    newest: dict[int, DeploymentRecord] = {}
    for record in records:
        newest.setdefault(record.version, record)
    newest.pop(live or 0, None)
    told = ", ".join(f"v{number}" for number in newest) or "none"
    if version is not None:
        if version == live:
            raise InputError(f"{model} v{version} answers in production already.")
        if version not in newest:
            raise InputError(
                f"{model} v{version} was never in production; there were {told}. What was never "
                f"there is released: run {model}.release with version {version}."
            )
        return newest[version]
    good = [record for record in newest.values() if not record.reason.startswith(ROLLED_BACK)]
    if not good:
        raise InputError(
            f"{model} has no version to go back to: in production before were {told}, each of "
            "them rolled back itself. Name one of them, or release another version."
        )
    return good[0]


def _proven(resources: Resources, target: DeploymentRecord, now: dt.datetime) -> Verification:
    """The service of a version that was in production, warm or started again, and its proof."""
    image, ledger = _image(resources, target), resources.ledger
    runtime = runtime_for(resources, image)
    refuse_without_door(resources, PRODUCTION, runtime)
    spare = target.service if target.state == "spare" else None
    warm = spare if spare is not None and runtime.state(spare) == "running" else None
    order = order_for(resources, image, PRODUCTION)
    if warm is None and not runtime.has(image):
        raise ArtifactRefused(
            f"The image {image.reference} of {image.model} v{image.version} was removed, and it "
            f"does not run any more. Run {image.model}.deploy, then {image.model}.release, by hand "
            f"with version {image.version}, or go back to another one."
        )
    name = warm.name if warm is not None else runtime.name_of(order)
    number = ledger.begin_deployment(image.model, image.version, PRODUCTION, name, now)
    service = warm if warm is not None else runtime.start(order)
    ledger.record_service(number, service, now)
    try:
        checks = prove(resources, image, service, Proof(PRODUCTION, as_made=True))
    except Exception as error:
        if not is_retryable(error):  # a retry finds it by its name and goes on with it
            if warm is None:
                runtime.remove(service, grace_s=GRACE_S)
            ledger.finish_deployment(number, "failed", str(error), (), now)
        raise
    if all(check.passed for check in checks):
        return Verification(image.model, image.version, service, checks)
    said = runtime.logs(service, lines=30)
    if warm is None:
        runtime.remove(service, grace_s=GRACE_S)
    failed = ", ".join(check.name for check in checks if not check.passed)
    evidence = [check.as_json() for check in checks]
    ledger.finish_deployment(number, "failed", f"failed: {failed}", evidence, now)
    raise VerificationFailed(failure_message(image.model, image.version, checks, said, "rollback"))


def _image(resources: Resources, target: DeploymentRecord) -> BuiltImage:
    """The image of a version as the ledger has it; one that was built anew since is as good."""
    service = target.service
    image = (
        resources.ledger.image(target.model, target.version, service.runtime) if service else None
    )
    if service is None or image is None:
        raise ArtifactRefused(
            f"The ledger has no image of {target.model} v{target.version}: it cannot be started. "
            "Go back to another version."
        )
    if image.digest != service.image_digest:
        log.warning("The image of v%d was built anew since it was live.", target.version)
    return image
