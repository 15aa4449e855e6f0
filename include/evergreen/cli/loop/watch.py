"""Collects the facts of one model from the ledger and from Airflow, and keeps the stack alive.

An Airflow that does not answer is a note, not an error: it may be being restarted. Where nothing
watches over the stack any more, it is started again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping

from include.evergreen.adapters.ledger import Ledger, open_ledger
from include.evergreen.cli.airflow_api import AirflowApi, AirflowRefused, DagRun
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.cli.stack import up
from include.evergreen.cli.stack.commands import open_api
from include.evergreen.cli.stack.state import is_supervised
from include.evergreen.contracts import FileOutcome
from include.evergreen.errors import Unavailable
from include.evergreen.settings import Settings

STAGES = ("ingest", "train", "deploy", "release", "monitor")
#: Where the walk from a file to staging leads; what fails here ends it.
LOOP = ("ingest", "train", "deploy")
#: Nothing waits for it.
CARD_TASK = "write_model_card"
#: States of a task that goes on; `awaiting_input` waits for a person.
_UNDER_WAY = (
    "running",
    "queued",
    "up_for_retry",
    "up_for_reschedule",
    "deferred",
    "awaiting_input",
)
DEAD_S = 10.0  # a stack that nobody watches over for this long does not come back by itself
_MAX_LINES = 12


class Watch:
    """One model of one stack since `since`. Opened once, asked again and again."""

    def __init__(self, settings: Settings, model: str, since: dt.datetime) -> None:
        self.settings = settings
        self.model = model
        self.since = since
        self._api: AirflowApi | None = None
        self._dead_since: float | None = None
        self._quiet_since = time.monotonic()
        self._last_failure = self._last_release_failure = ""

    @property
    def ledger(self) -> Ledger:
        return open_ledger(self.settings.ledger_url)

    def airflow(self) -> AirflowApi:
        """A client of the stack as it runs now; a restarted one may be on another port."""
        if self._api is None:
            self._api = open_api(self.settings.home)
        return self._api

    def facts(self, landed: Mapping[str, str] | None = None) -> Facts:
        """What is known now. `landed`: address -> sha256 of the files put into the zone."""
        file, dealt_with, fresh = self._files(landed or {})
        ledger, note = self.ledger, ""
        runs: dict[str, list[DagRun]] = {}
        running: tuple[str, ...] = ()
        try:
            runs = self._runs()
            running, self._last_failure = self._tasks(runs)
            self._last_release_failure = self._failure_of("release", runs)
            self._dead_since = None
        except (Unavailable, AirflowRefused) as error:
            note = self._look_after_stack(error)
        if note or self._is_at_work(runs):
            self._quiet_since = time.monotonic()
        waiting = ledger.candidates_undeployed(self.model)
        return Facts(
            dealt_with=dealt_with,
            file=file,
            fresh=fresh,
            runs=runs,
            running=running,
            decisions=[d for d in ledger.decisions(self.model) if d.last_seen >= self.since],
            deployment=ledger.deployment(self.model, "staging"),
            production=ledger.deployment(self.model, "production"),
            candidate=waiting[0].version if waiting else None,
            failure="" if note else self._last_failure,
            release_failure="" if note else self._last_release_failure,
            quiet_s=time.monotonic() - self._quiet_since,
            note=note,
        )

    def _files(self, landed: Mapping[str, str]) -> tuple[FileOutcome | None, bool, bool]:
        """The worst outcome of the landed files, whether all are dealt with, whether any is new."""
        if not landed:
            return None, True, True
        known = self.ledger.acknowledged(self.model)
        if any(uri not in known for uri in landed):
            return None, False, True
        outcomes = self.ledger.file_outcomes(self.model, limit=1000)
        ours = [o for o in outcomes if o.digest in landed.values()]
        if not ours:
            return None, True, True
        order = ("stopped", "quarantined", "appended", "known")
        worst = min(ours, key=lambda o: order.index(o.state))
        return worst, True, any(o.uri in landed for o in ours)

    def _runs(self) -> dict[str, list[DagRun]]:
        since = self.since.isoformat()
        return {
            stage: self.airflow().runs(f"{self.model}.{stage}", since, limit=10) for stage in STAGES
        }

    @staticmethod
    def _is_at_work(runs: Mapping[str, list[DagRun]]) -> bool:
        """Whether a run is under way from which a new version may come; a release may wait for
        somebody's approval for days.
        """
        stages = (stage for stage in runs if stage != "release")
        return any(not run.is_over for stage in stages for run in runs[stage])

    def _failure_of(self, stage: str, runs: Mapping[str, list[DagRun]]) -> str:
        """What the newest run of a stage died of; '' if it did not, or the loop goes on."""
        found = runs.get(stage)
        if not found or found[0].state != "failed" or self._goes_on(found[0]):
            return ""
        return self.error_of(found[0])

    def _tasks(self, runs: Mapping[str, list[DagRun]]) -> tuple[tuple[str, ...], str]:
        """The tasks that run now, and what the newest failed run of the loop died of."""
        running, failure = [], ""
        for stage, found in runs.items():
            if stage in LOOP and not failure:
                failure = self._failure_of(stage, runs)
            for run in found:
                if not run.is_over:
                    running += [
                        f"{stage}.{task.task_id}"
                        + (f"[{task.map_index}]" if task.map_index >= 0 else "")
                        + ("" if task.state == "running" else f" ({task.state})")
                        for task in self.airflow().tasks(run)
                        if task.state in _UNDER_WAY
                    ]
        return tuple(running), failure

    def _goes_on(self, run: DagRun) -> bool:
        """Whether the loop goes on after a failed run: a version lacks no more than its card."""
        failed = {task.task_id for task in self.airflow().tasks(run) if task.state == "failed"}
        return failed == {CARD_TASK} and bool(self.ledger.candidates_undeployed(self.model))

    def error_of(self, run: DagRun) -> str:
        """Which task of a failed run failed, and its error."""
        failed = [task for task in self.airflow().tasks(run) if task.state == "failed"]
        if not failed:
            return f"{run.dag_id} failed without a failed task: it ran into its time limit."
        lines = [line for line in self.airflow().log_lines(run, failed[0]) if line.strip()]
        told = [line for line in lines if "Error" in line or "Failed" in line or "refused" in line]
        shown = "\n".join((told or lines)[-_MAX_LINES:])
        return f"{run.dag_id}, task {failed[0].task_id} failed: {shown}"

    def _look_after_stack(self, error: Exception) -> str:
        """Airflow did not answer: a note; up again, if nobody has watched over it for a while."""
        if self._api is not None:
            self._api.close()
            self._api = None
        if is_supervised(self.settings.home):
            self._dead_since = None
            return f"Airflow does not answer now ({type(error).__name__}); waiting for it"
        now = time.monotonic()
        self._dead_since = self._dead_since or now
        if now - self._dead_since > DEAD_S:
            up(self.settings, _silence)
            self._dead_since = None
            return "Airflow had stopped; it was started again"
        return "Airflow has stopped; it is started again in a moment"


def _silence(_text: str) -> None:
    """The watch says it all in one note."""


def wait_for_dags(
    watch: Watch, timeout_s: float, tell: Callable[[str], None], poll_s: float = 1.0
) -> None:
    """Wait until Airflow has the model's DAGs, asking it to read the DAG files again.

    Raises:
        Unavailable: it does not have them after `timeout_s`, or one is paused; with what to do.
    """
    loop = {f"{watch.model}.{stage}" for stage in (*LOOP, "monitor")}
    wanted = {f"{watch.model}.{stage}" for stage in STAGES}
    deadline, asked = time.monotonic() + timeout_s, False
    while True:
        note = ""
        try:
            found = watch.airflow().dags(watch.model)
            if wanted <= set(found):
                _require_unpaused({dag_id: found[dag_id] for dag_id in loop})
                return
            if not asked:
                for token in {d["file_token"] for d in watch.airflow().any_dags()}:
                    watch.airflow().reparse(token)
                asked = True
            note = "waiting for Airflow to read the new spec"
        except (Unavailable, AirflowRefused) as error:
            if isinstance(error, PausedDags):
                raise
            note = str(error)
        if time.monotonic() > deadline:
            raise Unavailable(f"Airflow has no DAGs of {watch.model}. {_import_errors(watch)}")
        tell(note)
        time.sleep(poll_s)


class PausedDags(Unavailable):
    """Somebody paused a DAG of the loop; only a person can mean it otherwise.

    Whoever pauses release freezes production: the loop still leads to staging.
    """


def _require_unpaused(found: Mapping[str, Mapping[str, object]]) -> None:
    paused = sorted(dag_id for dag_id, dag in found.items() if dag["is_paused"])
    if paused:
        raise PausedDags(f"Paused: {', '.join(paused)}. Unpause them in Airflow's UI, then again.")


def _import_errors(watch: Watch) -> str:
    try:
        errors = watch.airflow().import_errors()
    except (Unavailable, AirflowRefused) as error:
        return str(error)
    told = [f"{file}: {trace.strip().splitlines()[-1]}" for file, trace in errors.items()]
    return "Its import errors: " + "; ".join(told) if told else "It reports no import error."
