"""Takes landed files into the lake, each exactly once, and puts what breaks the contract aside.

**Wakes on** a file in the model's landing zone (seconds after it stops growing), the cron of
`data.schedule`, or by hand. **Makes true** `<model>.data_ingested`, when rows were appended.

**Safe to clear and to trigger at any time:** a file is known by its digest, and one that was
ingested is not ingested again. Files are never moved or deleted.

**When it fails:** the champion goes on serving, nothing is lost. Either a file could not be read
(permissions: fix them, clear the task), or too large a share of a file broke the contract: look
into the quarantine table, mend the file or the contract, then trigger this DAG with
*Replay quarantine* on. It can wait until morning.
"""

import datetime as dt
from typing import Any

from airflow.sdk.definitions.param import Param

from include.evergreen import assets
from include.evergreen import dag_kit as kit
from include.evergreen.run_params import IngestParams

TIMEOUT = dt.timedelta(hours=2)
PARAMS = {
    "replay_quarantine": Param(
        default=False,
        type="boolean",
        title="Replay quarantine",
        description="Validate quarantined rows and files again and take in what passes now, "
        "after the contract or the source was mended.",
    ),
}


@kit.task()
def discover_files(model: str) -> list[dict[str, Any]]:
    from include.evergreen.stages.ingest import ingest

    files = ingest.discover_files(kit.resources(model), now=kit.now())
    if not files and not kit.form(IngestParams).replay_quarantine:
        raise kit.nothing_to_do("No file in the landing zone that is not known already.")
    return [file.as_json() for file in files]


@kit.task()
def ingest_files(model: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    from include.evergreen.contracts import LandedFile
    from include.evergreen.stages.ingest import ingest

    landed = [LandedFile.from_json(file) for file in files]
    replay = kit.form(IngestParams).replay_quarantine
    resources = kit.resources(model)
    report = ingest.ingest_files(
        resources, landed, owner=kit.run_id(), now=kit.now(), replay_quarantine=replay
    )
    if not ingest.has_news(resources, report):
        ingest.raise_problems(report)
        raise kit.nothing_to_do("No new row passed the contract; see the log for each file.")
    return report.as_json()


@kit.task()
def report_problems(report: dict[str, Any]) -> None:
    """Fails where a file needs somebody, after the rows of all others have woken training."""
    from include.evergreen.contracts import IngestReport
    from include.evergreen.stages.ingest import ingest

    ingest.raise_problems(IngestReport.from_json(report))


for spec in kit.specs():
    with kit.stage_dag(
        spec,
        "ingest",
        wakes_on=assets.file_landed(spec),
        cron=spec.data.schedule,
        doc=__doc__,
        timeout=TIMEOUT,
        params=PARAMS,
    ):
        discovered = discover_files(spec.model)
        taking = ingest_files.override(outlets=[assets.data_ingested(spec.model)])
        report_problems(taking(spec.model, discovered))
