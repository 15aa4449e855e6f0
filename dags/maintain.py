"""Removes what no model needs any more, and finishes what a crash left half done, for all models.

**Wakes on** its cron, once a day, or by hand, for a dry run say.
**Makes true:** what stands on the engine, in MLflow, in the lake and on disk is what the ledger
knows: stray containers and images, runs and versions that were never finished, studies, trials,
snapshots, reports and work folders of trainings that are over.

**Never touched:** what an alias points at, what runs, the versions a rollback goes to, an open
training, whatever is younger than a day, rows in quarantine, served requests not yet in the lake.

**Safe to clear and to trigger at any time:** each removal is decided anew right before it is done.

**When it fails:** what failed is named, all else was done, and the next run tries again. Every
model goes on serving. It can wait until morning.
"""

import datetime as dt
from typing import Any

from airflow.sdk.definitions.param import Param

from include.evergreen import dag_kit as kit
from include.evergreen.run_params import MaintainParams

TIMEOUT = dt.timedelta(hours=2)
PARAMS = {
    "dry_run": Param(
        default=False,
        type="boolean",
        title="Dry run",
        description="Only say what would be removed, finished and kept, in the log and in the "
        "ledger's decisions. The daily run is none.",
    ),
    "retention_days": Param(
        default=None,
        type=["null", "number"],
        minimum=1,
        maximum=3650,
        title="Retention in days",
        description="Remove images, runs, snapshots and reports that nothing needs when they are "
        "older; left empty, what EVERGREEN_RETENTION_DAYS says, or 30.",
    ),
    "model": Param(
        default=None,
        type=["null", "string"],
        maxLength=63,
        title="Model",
        description="Look after this model only; left empty, after all.",
    ),
}


@kit.task(pool=kit.CONTAINER_POOL)
def reconcile_stores() -> dict[str, Any]:
    from include.evergreen.stages.maintain import maintain

    form = kit.form(MaintainParams)
    installation = kit.installation(form.retention_days)
    return maintain.maintain(installation, dry_run=form.dry_run, model=form.model).as_json()


if kit.is_wanted("maintain"):
    with kit.installation_dag(
        "maintain", cron="41 3 * * *", doc=__doc__, timeout=TIMEOUT, params=PARAMS
    ):
        reconcile_stores()
