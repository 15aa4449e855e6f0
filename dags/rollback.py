"""Puts the version before back into production: one click, no training, no build.

**Wakes on** nothing but a person: trigger it. Without a version it goes back to the newest one that
was in production before and was not rolled back itself.
**Makes true** `<model>.released`: the version that is wanted back has proven itself by its own
contract, answers every request and is the champion. The one that was left is released again by hand
only. A version that is still warm is back within seconds. While a version is on its way (canary,
shadow, a/b) and none is named, that is ended and the champion stays.

**Safe to clear:** a run that is repeated goes where it went the first time. Another run goes back
one version further.

**When it fails:** what answered before still does; the error says why the other could not take
over. Somebody wanted it back, so look now: go back to another version, or release one.
"""

import datetime as dt
from typing import Any

from airflow.sdk.definitions.param import Param

from include.evergreen import assets, links
from include.evergreen import dag_kit as kit
from include.evergreen.run_params import RollbackParams

TIMEOUT = dt.timedelta(hours=1)
PARAMS: dict[str, Param] = {
    "version": kit.version_param(
        "A version that was in production before; left empty, the newest of them that "
        "was not rolled back itself.",
    ),
    "reason": kit.reason_param(
        "What is wrong with the version that answers now; recorded with the rollback.",
    ),
}


@kit.task()
def choose_version(model: str) -> dict[str, Any]:
    from include.evergreen.stages.release import rollback

    form = kit.form(RollbackParams)
    wanted = rollback.choose_return(
        kit.resources(model), form.version, form.reason, asked_by=kit.person()
    )
    return wanted.as_json()


@kit.task(links.EndpointLink)
def put_back(model: str, wanted: dict[str, Any]) -> dict[str, Any]:
    from include.evergreen.contracts import Return
    from include.evergreen.stages.release import rollback

    deployment = rollback.put_back(kit.resources(model), Return.from_json(wanted))
    links.show(links.EndpointLink, f"{deployment.service.endpoint}/version")
    return deployment.as_json()


for spec in kit.specs():
    with kit.stage_dag(
        spec, "rollback", wakes_on=None, cron=None, doc=__doc__, timeout=TIMEOUT, params=PARAMS
    ):
        put_back.override(outlets=[assets.released(spec.model)])(
            spec.model, choose_version(spec.model)
        )
