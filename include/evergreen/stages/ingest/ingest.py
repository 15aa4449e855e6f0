"""Finds what landed and takes it in: each file once, none forgotten, none in the way of the rest.

A file that could not be read, and one of which too much broke the contract, are told at the end,
after all others were taken (`IngestReport.problems`, `raise_problems`).
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from include.evergreen.contracts import FileOutcome, IngestReport, LandedFile
from include.evergreen.errors import (
    FileChanged,
    FileStillGrowing,
    FileUnreadable,
    QuarantineOverflow,
)
from include.evergreen.stages.ingest.landed import is_whole, pending_files
from include.evergreen.stages.ingest.replay import replay
from include.evergreen.stages.ingest.take_file import Intake
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: One run takes at most so many files, the oldest first and after them those that could not be
#: read before; the watcher wakes the next for the rest.
MAX_FILES = 1000
_UNREADABLE = "Not read: "


def discover_files(
    resources: Resources, *, now: dt.datetime, sleep: Callable[[float], None] = time.sleep
) -> list[LandedFile]:
    """The files of both landing zones that are not known yet and have stopped growing.

    Where some have settled they are returned at once, and those still growing are left for the
    next run. Where all are growing, they are waited for.

    Raises:
        FileStillGrowing: after `data.limits.settle_timeout_s`.
        FileUnreadable: a landing zone may not be listed.
    """
    limits = resources.spec.data.limits
    waited_s, before = 0.0, dict[str, str]()
    while True:
        pending = pending_files(resources)
        moment = now + dt.timedelta(seconds=waited_s)
        settled = [
            file
            for file in pending
            if _has_settled(resources, file, moment) or before.get(file.uri) == file.fingerprint
        ]
        if settled or not pending:
            if len(pending) > len(settled):
                log.info("%d files are still growing", len(pending) - len(settled))
            return settled[:MAX_FILES]
        if waited_s >= limits.settle_timeout_s:
            raise FileStillGrowing(
                f"{len(pending)} files are still growing after {limits.settle_timeout_s:g} s: "
                f"{', '.join(file.uri for file in pending[:10])}. Write to a name that ends in "
                ".part and rename it when it is complete, or raise data.limits.settle_timeout_s."
            )
        before = {file.uri: file.fingerprint for file in pending}
        pause_s = max(limits.settle_s, 0.05)
        sleep(pause_s)
        waited_s += pause_s


def _has_settled(resources: Resources, file: LandedFile, now: dt.datetime) -> bool:
    age = now - dt.datetime.fromisoformat(file.changed_at or file.modified_at)
    return is_whole(resources, file) or (age.total_seconds() >= resources.spec.data.limits.settle_s)


def ingest_files(
    resources: Resources,
    files: Sequence[LandedFile],
    *,
    owner: str,
    now: dt.datetime,
    replay_quarantine: bool = False,
) -> IngestReport:
    """Take each file in, in the given order; what went wrong with one is in `problems`.

    Args:
        resources: of the model.
        files: as `discover_files` found them.
        owner: who claims; the same for all tries of one run.
        now: the clock's time at the start.
        replay_quarantine: first validate again what an earlier contract put into quarantine, and
            take in what passes now.

    Raises:
        Unavailable: the landing zone or the ledger does not answer; what was done stays done.
    """
    intake = Intake(resources, owner, now)
    outcomes: list[FileOutcome] = replay(intake) if replay_quarantine else []
    problems: list[str] = []
    for file in files:
        try:
            outcome = intake.take(file)
        except FileUnreadable as error:
            log.error("%s", error)  # noqa: TRY400 - it is told, with all others, at the end
            problems.append(_UNREADABLE + str(error))
            intake.postpone(file)
        except FileChanged as error:
            log.info("%s", error)
            intake.postpone(file)
        else:
            outcomes += [outcome] if outcome else []
    return _report(resources, outcomes, problems)


def replay_quarantine(resources: Resources, *, owner: str, now: dt.datetime) -> IngestReport:
    """Take back in what an earlier contract put into quarantine and the one of now allows."""
    return ingest_files(resources, [], owner=owner, now=now, replay_quarantine=True)


def has_news(resources: Resources, report: IngestReport) -> bool:
    """Whether training should be woken: for new rows, or for what an earlier try left pending.

    A try that died after its last file was recorded has appended rows and woken nobody.
    """
    return report.rows_appended > 0 or any(
        request.reason == "new_data" for request in resources.ledger.pending_requests(report.model)
    )


def raise_problems(report: IngestReport) -> None:
    """Say what a person must hear of. The rest of the run was done and stays done.

    Raises:
        FileUnreadable: at least one file could not be read.
        QuarantineOverflow: of at least one file nothing was taken, so much of it was bad.
    """
    if not report.problems:
        return
    shown = "\n".join(report.problems[:10])
    message = f"{len(report.problems)} files of {report.model} need somebody:\n{shown}"
    if any(problem.startswith(_UNREADABLE) for problem in report.problems):
        raise FileUnreadable(message)
    raise QuarantineOverflow(message)


def _report(
    resources: Resources, outcomes: Iterable[FileOutcome], problems: Sequence[str]
) -> IngestReport:
    files = tuple(outcomes)
    stopped = [f"Stopped: {f.uri}: {f.reason}" for f in files if f.state == "stopped"]
    return IngestReport(
        model=resources.model,
        files=files,
        rows_appended=sum(file.rows_appended for file in files),
        rows_quarantined=sum(file.rows_quarantined for file in files),
        data_version=resources.lake.version(resources.model, "rows") or 0,
        problems=(*problems, *stopped),
    )
