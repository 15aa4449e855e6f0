"""Brings a staged version into production, watches it there, and rolls it back if it breaks.

**Wakes on** `<model>.staged`, by hand with a version, or `<model>.release_waiting`: a staged
version whose event was lost, or a release whose run died.
**Makes true** `<model>.released`: the image that staging verified, digest for digest, proved itself
once more, answers every request and is the champion; it kept its service levels for
`deployment.watch.seconds`, with the version before it kept warm.

With `deployment.approval: required` it waits at `ask_person`: open the task and answer. Not
answered in time, it is not released; nor where a newer version is staged, which is asked for then.
What lets a version in is the ledger's word on it. To mark a task as a success lets nothing in.

**Safe to clear and to trigger at any time:** whatever was begun is found again; where nothing is to
be released the run is skipped, and its reason is in the ledger's decisions.

**When it fails:** up to and in `shift_traffic` what answered before answers again, also where a
canary, shadow or a/b test ended with no. In `watch_release` the new version broke its service
levels and the one before answers again. Where the engine or the ledger was away, it stays as it
was, divided or not, and the next run goes on within minutes. The error says what answers; get up
only where it says: Look now. The rest can wait until morning.
"""

import datetime as dt
from typing import Any

from airflow.sdk.definitions.param import Param

from include.evergreen import assets, links
from include.evergreen import dag_kit as kit
from include.evergreen.run_params import ReleaseParams
from include.evergreen.spec import ModelSpec

TIMEOUT = dt.timedelta(hours=2)
PARAMS: dict[str, Param] = {
    "version": kit.version_param(
        "A version that was verified in staging, also one that is not proposed by "
        "itself; left empty, the one that is in staging.",
    ),
    "reason": kit.reason_param(
        "Why this version is wanted in production; recorded with its release.",
    ),
}


@kit.task()
def choose_version(model: str) -> dict[str, Any]:
    from include.evergreen.stages.release import propose

    form = kit.form(ReleaseParams)
    proposal = propose.choose_version(
        kit.resources(model), form.version, form.reason, asked_by=kit.person(), now=kit.now()
    )
    if proposal is None:
        raise kit.nothing_to_do("No staged version is to be released; the log says why.")
    return proposal.as_json()


@kit.task()
def approve_release(model: str, proposal: dict[str, Any]) -> None:
    from include.evergreen.contracts import Proposal
    from include.evergreen.stages.release import approval

    wanted = Proposal.from_json(proposal)
    if not approval.approve(kit.resources(model), wanted, now=kit.now()):
        raise kit.nothing_to_do("A newer staged version has taken its place.")


@kit.task()
def check_approval(model: str, proposal: dict[str, Any]) -> None:
    from include.evergreen.contracts import Proposal
    from include.evergreen.stages.release import approval

    why_not = approval.why_not_approved(kit.resources(model), Proposal.from_json(proposal))
    if why_not:
        raise kit.nothing_to_do(kit.show("why_not", why_not))


@kit.task(pool=kit.CONTAINER_POOL)
def start_in_production(model: str, proposal: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Proposal
    from include.evergreen.stages.release import start

    proven = start.start_in_production(
        kit.resources(model), Proposal.from_json(proposal), now=kit.now()
    )
    return proven.as_json()


@kit.task(links.EndpointLink, pool=kit.CONTAINER_POOL)
def shift_traffic(model: str, proposal: dict[str, Any], proven: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Proposal, Verification
    from include.evergreen.stages.release import strategies

    deployment = strategies.shift_traffic(
        kit.resources(model), Proposal.from_json(proposal), Verification.from_json(proven)
    )
    if deployment is None:
        raise kit.look_again(kit.LOOK_AGAIN_S)
    links.show(links.EndpointLink, f"{deployment.service.endpoint}/version")
    return deployment.as_json()


@kit.task(links.EndpointLink)
def watch_release(model: str, proposal: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Proposal
    from include.evergreen.stages.release import watch

    deployment = watch.watch_release(kit.resources(model), Proposal.from_json(proposal))
    if deployment is None:
        raise kit.look_again(kit.LOOK_AGAIN_S)
    links.show(links.EndpointLink, f"{deployment.service.endpoint}/version")
    return deployment.as_json()


def _approval(spec: ModelSpec, chosen: Any) -> Any:
    """The task after which the version may be released: a person's word, or the policy's."""
    rules = spec.deployment.approval_rules
    if spec.deployment.approval == "automatic":
        return approve_release(spec.model, chosen)
    from include.evergreen.approval_task import AskForApproval

    asked = AskForApproval(
        task_id="ask_person",
        model=spec.model,
        proposal=chosen,
        users=rules.users,
        wait_s=rules.timeout_s,
    )
    checked = check_approval(spec.model, chosen)
    asked >> checked
    return checked


for spec in kit.specs():
    name, rules = spec.model, spec.deployment
    with kit.stage_dag(
        spec,
        "release",
        wakes_on=assets.staged(name) | assets.release_waiting(name),
        cron=None,
        doc=__doc__,
        timeout=TIMEOUT + dt.timedelta(seconds=rules.seconds_to_release),
        params=PARAMS,
    ):
        chosen = choose_version(name)
        started = start_in_production(name, chosen)
        _approval(spec, chosen) >> started
        watched = watch_release.override(outlets=[assets.released(name)])(name, chosen)
        shift_traffic(name, chosen, started) >> watched
