"""The story of the demo, step by step: a model is born, goes stale, and a better one takes over."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.evergreen.adapters.landing.delivery import deliver
from include.evergreen.cli.demo import world
from include.evergreen.cli.demo.client import Client
from include.evergreen.cli.demo.clock import Step, Steps
from include.evergreen.cli.demo.found import Found
from include.evergreen.cli.demo.patience import DemoFailed, trigger, wait_for
from include.evergreen.cli.demo.releases import Share
from include.evergreen.cli.demo.takeover import Takeover
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.cli.loop.watch import Watch, wait_for_dags
from include.evergreen.contracts import Deployment, FileOutcome
from include.evergreen.model_code.predictor import columns_of_rows
from include.evergreen.simulator import write_csv
from include.evergreen.stages.bundle import load_predictor, raw_rows
from include.evergreen.stages.deploy.fetch_bundle import fetch_bundle
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.scoring import score

STACK = "Airflow and MLflow start"
FIRST_DATA = "A first year of rides lands and is ingested"
FIRST_MODEL = "A first model is tuned, judged and registered"
FIRST_STAGED = "It proves itself in staging"
FIRST_RELEASED = "It goes into production"
SERVE = "It serves requests"
DRIFT_LANDS = "The world drifts: new months land"
DRIFT_SEEN = "The monitor sees the drift"
RETRAINED = "A challenger beats the champion"
SECOND_STAGED = "The challenger proves itself in staging"
SHARED = "In production it answers a share of the requests, then more"
REPLACED = "It answers all of them, and is watched"
COMPARE = "Both are scored on the same fresh days"
STEPS = (
    *(STACK, FIRST_DATA, FIRST_MODEL, FIRST_STAGED, FIRST_RELEASED, SERVE),
    *(DRIFT_LANDS, DRIFT_SEEN, RETRAINED, SECOND_STAGED, SHARED, REPLACED, COMPARE),
)
ROUNDS = 3  # windows of drift that are tried until a challenger wins
_SERVED_DAYS, _ROWS_A_REQUEST = 21, 4


@dataclass
class Ending:
    """What the demo has to show at its end.

    `endpoint` is production's, `staging` the other one. `answered` and `lost` are requests to
    production while the second version took over, `shares` what part of them it was given, and
    `release` says so in words. `journal` says why what is there is there.
    """

    runtime: str = ""
    versions: list[int] = field(default_factory=list)
    staging: str = ""
    shares: list[Share] = field(default_factory=list)
    release: str = ""
    answered: int = 0
    lost: int = 0
    journal: str = ""
    metric: str = ""
    metric_before: float | None = None
    metric_after: float | None = None
    endpoint: str = ""
    curl: str = ""
    drift_report: str = ""
    drift_reason: str = ""


class Story:
    """One telling; each chapter leaves facts behind that a later telling starts from."""

    def __init__(self, resources: Resources, watch: Watch, steps: Steps) -> None:
        self._resources = resources
        self._watch = watch
        self._steps = steps
        self._found = Found(watch)
        self._takeover = Takeover(resources, watch, steps)
        self.ending = Ending(metric=resources.spec.training.metric)

    def tell(self) -> Ending:
        """All of it.

        Raises:
            DemoFailed: a chapter did not come about.
        """
        first = self._birth()
        self._serve(first)
        for number in range(1, ROUNDS + 1):
            period = self._drift(first)
            second = self._replacement(first, period, last=number == ROUNDS)
            if second is not None:
                self._compare(first, second, period)
                break
        return self.ending

    def _birth(self) -> Deployment:
        """The version that answers before the drift."""
        live = self._watch.ledger.deployment(self._watch.model, "production")
        if live is not None:
            for name in (FIRST_DATA, FIRST_MODEL, FIRST_STAGED):
                self._steps.skip(name, f"v{live.version} answers already")
            return self._now_live(self._begun_before(live))
        version = self._staged()
        with self._steps.step(FIRST_RELEASED) as step:
            live = self._takeover.live(step, version)
            step.detail += f"; {self._takeover.told(version)}"
        return self._now_live(live)

    def _begun_before(self, live: Deployment) -> Deployment:
        """What answers when the release is over that a demo which was cut off had begun."""
        version = self._takeover.under_way(live)
        if version is None:
            self._steps.skip(FIRST_RELEASED, f"v{live.version} answers already")
            return live
        with self._steps.step(FIRST_RELEASED) as step:
            with self._takeover.passerby(self._next_days()) as passerby:
                live = self._takeover.live(step, version, passerby)
                where = step.detail
                self._takeover.over(step, version)
            passerby.require_none_lost()
            step.detail = f"{where}; {self._takeover.told(version)}; {passerby.told()}"
        return live

    def _staged(self) -> int:
        """The first version in staging."""
        live = self._watch.ledger.deployment(self._watch.model, "staging")
        if live is not None:
            for name in (FIRST_DATA, FIRST_MODEL, FIRST_STAGED):
                self._steps.skip(name, f"v{live.version} is in staging already")
            return live.version
        with self._steps.step(FIRST_DATA) as step:
            if world.newest_day(self._resources) is None:
                wait_for_dags(self._watch, 300, lambda note: self._steps.tell(step, "", note))
                self._land(step, world.first_period())
        with self._steps.step(FIRST_MODEL) as step:
            version = wait_for(
                self._watch, self._steps, step, self._found.registered, nudge="train"
            )
            step.detail = f"v{version}, {self._found.said('judge')}"
        with self._steps.step(FIRST_STAGED) as step:
            return self._takeover.staged(step, version).version

    def _serve(self, live: Deployment) -> None:
        with self._steps.step(SERVE) as step:
            self._ask(live, self._next_days(), step)

    def _next_days(self) -> world.Period:
        """The days after those that were ingested, in the world as it was."""
        start = world.newest_day(self._resources) or world.FIRST_DAY
        return world.Period(start + dt.timedelta(days=1), _SERVED_DAYS)

    def _drift(self, live: Deployment) -> world.Period:
        """New months land in a world that has moved, and are asked about too."""
        with self._steps.step(DRIFT_LANDS) as step:
            period = world.next_drift(self._resources, live.version)
            landed = self._put(step, period)
            self._ask(live, world.Period(period.start, _SERVED_DAYS, period.covariate), step)
            asked = step.detail
            self._wait_until_ingested(step, period, landed)
            Client(live.service.endpoint).wait_for_spool()
            step.detail += f"; {asked}"
        with self._steps.step(DRIFT_SEEN) as step:
            trigger(self._watch, "monitor")
            report = wait_for(
                self._watch, self._steps, step, self._found.drift_of(live.version), nudge="monitor"
            )
            self.ending.drift_report = report.report_uri
            self.ending.drift_reason = step.detail = report.verdict.reason
        return period

    def _replacement(
        self, first: Deployment, period: world.Period, *, last: bool
    ) -> Deployment | None:
        """The version that takes over; None if the challenger lost and another round is allowed."""
        with self._steps.step(RETRAINED) as step:
            began = dt.datetime.now(dt.UTC)

            def judged(facts: Facts) -> tuple[int, str] | None:
                version = self._found.registered(facts)
                if version is not None and version > first.version:
                    return version, ""
                lost = self._found.lost_since(began)
                return (0, lost) if lost is not None else None

            version, lost = wait_for(self._watch, self._steps, step, judged, nudge="train")
            if not version:
                if last:
                    raise DemoFailed(f"No challenger won in {ROUNDS} rounds: {lost}")
                step.detail = f"the champion stays ({lost}); the world drifts on"
                return None
            step.detail = f"v{version}, {self._found.said('judge')}"
        return self._now_live(self._take_over(version, period))

    def _take_over(self, version: int, period: world.Period) -> Deployment:
        """The version answers in production, its watch is over, and no request was lost."""
        with self._takeover.passerby(period) as passerby:
            with self._steps.step(SECOND_STAGED) as step:
                self._takeover.staged(step, version)
            with self._steps.step(SHARED) as step:
                live = self._takeover.live(step, version, passerby)
                where, step.detail = step.detail, self._takeover.told(version)
            with self._steps.step(REPLACED) as step:
                self._takeover.over(step, version)
                step.detail = f"{where}; {passerby.told()}"
        self.ending.shares = self._takeover.shares(version)
        self.ending.release = self._takeover.told(version)
        self.ending.answered, self.ending.lost = passerby.answered.total(), len(passerby.lost)
        passerby.require_none_lost()
        return live

    def _compare(self, old: Deployment, new: Deployment, period: world.Period) -> None:
        """The old version from its bundle, the new one by its endpoint, on days after both."""
        with self._steps.step(COMPARE) as step:
            rows = world.typed(period.following(world.FRESH_DAYS).rows(), self._resources.spec)
            truth = rows[self._resources.spec.data.target].to_numpy()
            client = Client(new.service.endpoint)
            after = {"prediction": client.score_rows(rows)}
            before = self._offline(old.version, raw_rows(rows, client.contract()))
            metric = self.ending.metric
            self.ending.metric_before = score(metric, truth, before)
            self.ending.metric_after = score(metric, truth, after)
            self.ending.curl = client.curl(rows)
            step.detail = (
                f"{metric} {self.ending.metric_before:.1f} (v{old.version}) -> "
                f"{self.ending.metric_after:.1f} (v{new.version}) on {rows.height:,} rows"
            )

    def _offline(self, version: int, records: list[dict[str, Any]]) -> dict[str, Any]:
        """What a version predicts, out of its registered bundle, checked by digest."""
        resources = self._resources
        snapshot = resources.ledger.snapshot_of_version(resources.model, version)
        training = resources.ledger.training(snapshot.key) if snapshot else None
        if training is None or training.candidate is None:
            raise DemoFailed(f"The ledger does not know how v{version} was made.")
        digest = training.candidate.manifest_digest
        predictor = load_predictor(fetch_bundle(resources, version, digest), digest)
        return predictor.predict(predictor.parse(columns_of_rows(records)))

    def _land(self, step: Step, period: world.Period) -> None:
        """Put the months into the landing zone and wait until they are ingested."""
        self._wait_until_ingested(step, period, self._put(step, period))

    def _put(self, step: Step, period: world.Period) -> dict[str, str]:
        """Address and digest of the file in the landing zone."""
        resources = self._resources
        with tempfile.TemporaryDirectory() as folder:
            path = write_csv(period.rows(), Path(folder) / period.name)
            file, digest = deliver(path, resources.landing, now=dt.datetime.now(dt.UTC))
        step.detail = f"{path.name} is in the landing zone"
        return {file.uri: digest}

    def _wait_until_ingested(
        self, step: Step, period: world.Period, landed: dict[str, str]
    ) -> None:
        def taken(facts: Facts) -> FileOutcome | None:
            return facts.file if facts.dealt_with else None

        outcome = wait_for(self._watch, self._steps, step, taken, nudge="ingest", landed=landed)
        if outcome.state in ("quarantined", "stopped"):
            raise DemoFailed(f"{period.name} was not taken: {outcome.rule}, {outcome.reason}")
        step.detail = f"{outcome.rows_appended:,} rows, {period.start} to {period.end}"

    def _ask(self, live: Deployment, period: world.Period, step: Step) -> None:
        rows = world.typed(period.rows(), self._resources.spec)
        total = -(-rows.height // _ROWS_A_REQUEST)
        count = Client(live.service.endpoint).serve(
            rows,
            _ROWS_A_REQUEST,
            lambda done: self._steps.tell(step, f"{done} of {total} requests answered"),
        )
        step.detail = f"{count} requests of {_ROWS_A_REQUEST} rows answered"

    def _now_live(self, live: Deployment) -> Deployment:
        """Note it for the ending."""
        staged = self._watch.ledger.deployment(self._watch.model, "staging")
        self.ending.staging = staged.service.endpoint if staged else ""
        self.ending.journal = self._found.why_it_is_there()
        self.ending.versions.append(live.version)
        self.ending.runtime = live.service.runtime
        self.ending.endpoint = live.service.endpoint
        return live
