"""Compares what came in with the champion's training data; asks for a retrain when it drifted.

**Wakes on** the cron of `monitoring.schedule`, `<model>.released`, or by hand.
**Makes true** `<model>.retrain_requested`, when the ledger holds a request that may be granted:
one a cause, not one an hour.

**Safe to clear and to trigger at any time:** served requests move into the lake once, and the
same cause asks once. It also wakes what an asset event forgot: a pending request, a registered
version that nobody staged.

**When it fails:** the champion goes on serving, unwatched. Look within the day.
"""

# Airflow skips a file in which its own name does not occur (DAG discovery's safe mode).
import datetime as dt
from typing import Any

from include.evergreen import assets, links
from include.evergreen import dag_kit as kit

TIMEOUT = dt.timedelta(hours=1)


@kit.task()
def collect_requests(model: str) -> int:
    from include.evergreen import notify
    from include.evergreen.stages.monitoring import collect, watch_service

    resources = kit.resources(model)
    trouble = watch_service.watch_service(resources, now=kit.now())
    if trouble:
        notify.tell(trouble)
    return collect.collect_requests(resources, now=kit.now())


@kit.task(links.DriftReportLink)
def watch_drift(model: str) -> dict[str, Any]:
    from include.evergreen.stages.monitoring import monitor

    resources = kit.resources(model)
    report = monitor.watch_drift(resources, now=kit.now())
    if report is None:
        raise kit.nothing_to_do("Nothing came in since the last look.")
    links.show(links.DriftReportLink, report.report_uri)
    return report.as_json()


@kit.task(trigger_rule="all_done")
def wake_training(model: str) -> int:
    from include.evergreen.stages.training import claim

    waiting = claim.grantable_requests(kit.resources(model), now=kit.now())
    if not waiting:
        raise kit.nothing_to_do("No request in the ledger that may be granted now.")
    return len(waiting)


@kit.task(trigger_rule="all_done")
def wake_deployment(model: str) -> int:
    from include.evergreen.stages.deploy import build

    candidate = build.version_to_wake_for(kit.resources(model), now=kit.now())
    if candidate is None:
        raise kit.nothing_to_do("Every registered version was staged or refused.")
    return candidate.version


for spec in kit.specs():
    with kit.stage_dag(
        spec,
        "monitor",
        wakes_on=assets.released(spec.model),
        cron=spec.monitoring.schedule,
        doc=__doc__,
        timeout=TIMEOUT,
    ):
        watched = watch_drift(spec.model)
        collect_requests(spec.model) >> watched
        watched >> wake_training.override(outlets=[assets.retrain_requested(spec.model)])(
            spec.model
        )
        watched >> wake_deployment.override(outlets=[assets.candidate_registered(spec.model)])(
            spec.model
        )
