"""Puts a registered version into a staging container; it answers only once it has proven itself.

**Wakes on** `<model>.candidate_registered`, or by hand with a version.
**Makes true** `<model>.staged`: healthy, signature equal to the contract, golden rows answered as
offline, malformed requests refused, acceptance examples answered as expected, service levels met
under a short load.

**Safe to clear and to trigger at any time:** an image is built once a version, a container that
stands is found again, and the alias `staging` moves only after the proof.

**When it fails:** the earlier staging container still answers; the candidate's was stopped, and
its last log lines are in the error. It can wait until morning.
"""

import datetime as dt
from typing import Any

from airflow.sdk.definitions.param import Param

from include.evergreen import assets, links
from include.evergreen import dag_kit as kit
from include.evergreen.run_params import DeployParams

TIMEOUT = dt.timedelta(hours=1)
PARAMS: dict[str, Param] = {
    "version": kit.version_param(
        "The registered version to stage; left empty, the newest one not yet staged.",
    ),
}


@kit.task()
def choose_version(model: str) -> dict[str, Any]:
    from include.evergreen.stages.deploy import build

    candidate = build.choose_version(
        kit.resources(model), kit.form(DeployParams).version, now=kit.now()
    )
    if candidate is None:
        raise kit.nothing_to_do("No registered version waits to be staged.")
    return candidate.as_json()


@kit.task(pool=kit.CONTAINER_POOL)
def build_image(model: str, candidate: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Candidate
    from include.evergreen.stages.deploy import build

    return build.build_image(
        kit.resources(model), Candidate.from_json(candidate), now=kit.now()
    ).as_json()


@kit.task(links.EndpointLink, pool=kit.CONTAINER_POOL)
def start_and_verify(model: str, image: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import BuiltImage
    from include.evergreen.stages.deploy import verify

    proven = verify.start_and_verify(
        kit.resources(model), BuiltImage.from_json(image), now=kit.now()
    )
    links.show(links.EndpointLink, f"{proven.service.endpoint}/version")
    return proven.as_json()


@kit.task(links.EndpointLink, pool=kit.CONTAINER_POOL)
def promote_to_staging(model: str, proven: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Verification
    from include.evergreen.stages.deploy import promote

    deployment = promote.promote_to_staging(
        kit.resources(model), Verification.from_json(proven), now=kit.now()
    )
    links.show(links.EndpointLink, f"{deployment.service.endpoint}/version")
    return deployment.as_json()


for spec in kit.specs():
    with kit.stage_dag(
        spec,
        "deploy",
        wakes_on=assets.candidate_registered(spec.model),
        cron=None,
        doc=__doc__,
        timeout=TIMEOUT,
        params=PARAMS,
    ):
        chosen = choose_version(spec.model)
        built = build_image(spec.model, chosen)
        verified = start_and_verify(spec.model, built)
        promote_to_staging.override(outlets=[assets.staged(spec.model)])(spec.model, verified)
