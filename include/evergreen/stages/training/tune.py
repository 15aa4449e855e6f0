"""One worker of a search: takes tickets while there are any, and tries one recipe on each.

All workers share one study and one budget. A worker that is killed loses the trial it was
running, and nothing else: its ticket goes to another, or to its own next try.
"""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
import uuid
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from include.evergreen.adapters.studies import Study, Trial
from include.evergreen.contracts import Snapshot
from include.evergreen.errors import ArtifactRefused, EvergreenError, LeaseLost
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.leases import renewing
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training import scoring
from include.evergreen.stages.training.charging import charging
from include.evergreen.stages.training.folds import Fold, make_folds
from include.evergreen.stages.training.recipes import Kitchen, threads_of
from include.evergreen.stages.training.search_spaces import ESTIMATOR
from include.evergreen.stages.training.training_steps import (
    open_study,
    recording_failure,
)

log = logging.getLogger(__name__)

#: A dead worker's ticket is free again after this long, or as soon as its own next try starts.
LEASE_S = 60.0
_LAST = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Ended:
    """How a trial ended: its score if it is complete, else the reason."""

    state: Literal["complete", "pruned", "failed"]
    value: float = math.nan
    reason: str = ""


def run_worker(
    resources: Resources, snapshot: Snapshot, worker: int, *, clock: Clock = utc_now
) -> dict[str, Any]:
    """Run trials until the budget of the study is spent; how many ended how.

    Args:
        resources: of the model.
        snapshot: the frozen rows; its key names the study.
        worker: the index of this worker; a retry carries the same one.
        clock: for leases and the shared deadline.
    """
    with (
        recording_failure(resources, snapshot, clock),
        charging(resources, snapshot, f"trials/{worker}", clock),
    ):
        return _Worker(resources, snapshot, worker, clock).run()


class _Worker:
    def __init__(self, resources: Resources, snapshot: Snapshot, worker: int, clock: Clock) -> None:
        self._resources, self._snapshot, self._clock = resources, snapshot, clock
        self._ledger, self._index = resources.ledger, worker
        self._name = f"{worker}/{uuid.uuid4().hex[:12]}"
        spec, models = resources.spec, resources.settings.models_dir
        frame = resources.lake.get_part(snapshot.model, snapshot.key, "train")
        self._kitchen = Kitchen(spec, models, frame)
        self._folds = self._make_folds()
        self._threads = threads_of(snapshot.budget.workers)
        self._deadline = self._open()
        self._study = open_study(resources, snapshot, worker=worker, first=self._first)

    def run(self) -> dict[str, Any]:
        started = time.monotonic()
        ended: Counter[str] = Counter()
        self._release_earlier_tries()
        while not self._is_judged() and (ticket := self._take_ticket()) is not None:
            ended[self._run_ticket(ticket)] += 1
        seconds = round(time.monotonic() - started, 3)
        log.info("Worker %s: %s in %.1f s", self._name, dict(ended), seconds)
        return {"worker": self._index, **{s: ended[s] for s in _LAST}, "seconds": seconds}

    def _is_judged(self) -> bool:
        """Whether a verdict stands: another trial could slip an unjudged recipe under it."""
        record = self._ledger.training(self._snapshot.key)
        word = record.judgement if record else None
        return word is not None and word.verdict != "not_yet"

    def _open(self) -> dt.datetime:
        record = self._ledger.training(self._snapshot.key)
        run = record.owner if record else ""
        budget = self._snapshot.budget
        return self._ledger.open_study(self._snapshot.key, budget, self._clock(), run)

    def _make_folds(self) -> list[Fold]:
        training = self._resources.spec.training
        return make_folds(
            self._kitchen.target,
            self._kitchen.times,
            n=training.folds,
            seed=training.seed,
            classes=bool(self._kitchen.classes),
        )

    def _first(self) -> list[dict[str, Any]]:
        """What the study tries first: the champion's recipe, then each estimator's defaults."""
        estimators = self._resources.spec.training.estimators
        defaults = [self._kitchen.defaults(name).as_trial() for name in estimators]
        recipes = [*self._champions(), *defaults][: self._snapshot.budget.trials]
        return [recipe for n, recipe in enumerate(recipes) if recipe not in recipes[:n]]

    def _champions(self) -> list[dict[str, Any]]:
        version = self._snapshot.champion_version
        if version is None:
            return []
        try:
            recipe = self._resources.registry.version_info(self._snapshot.model, version).recipe
        except ArtifactRefused as error:
            log.warning("The champion's parameters are not tried first: %s", error)
            return []
        name = recipe.get(ESTIMATOR)
        if name not in self._resources.spec.training.estimators:
            log.info("The champion's estimator %s is none of the spec's any more", name)
            return []
        return [{ESTIMATOR: name} | {f"{name}.{k}": v for k, v in recipe["params"].items()}]

    def _release_earlier_tries(self) -> None:
        """An earlier try of this very worker is dead: its tickets need not wait for their end.

        A ticket is spent before the study is told, so that no trial counts twice. A worker that
        died in between has spent it on nothing: it is handed out again.
        """
        untold = set(self._study.running())
        mine = {
            ticket.worker
            for ticket in self._ledger.tickets(self._snapshot.key)
            if str(ticket.worker).startswith(f"{self._index}/")
            and (ticket.state == "taken" or ticket.trial_number in untold)
        }
        for name in mine:
            self._ledger.release_tickets(self._snapshot.key, str(name), untold)

    def _take_ticket(self) -> int | None:
        key = self._snapshot.key
        number = self._ledger.take_ticket(key, self._name, self._clock(), LEASE_S)
        self._study.fail_abandoned(self._bound_trials)
        return number

    def _bound_trials(self) -> set[int]:
        tickets = self._ledger.tickets(self._snapshot.key)
        return {t.trial_number for t in tickets if t.trial_number is not None}

    def _run_ticket(self, ticket: int) -> str:
        key = self._snapshot.key
        trial = self._study.ask(
            lambda number: self._ledger.bind_trial(key, ticket, self._name, number)
        )
        with self._renewing(ticket):
            ended = self._try(trial)
        try:
            self._ledger.finish_ticket(key, ticket, self._name, ended.state)
        except LeaseLost as error:
            self._study.fail(trial.number, str(error))
            return "failed"
        _tell(self._study, trial.number, ended)
        return ended.state

    def _try(self, trial: Trial) -> Ended:
        """One trial. What goes wrong inside it fails it alone, with the reason on record."""
        try:
            return self._score(trial)
        except EvergreenError:
            raise
        except Exception as error:
            log.warning("Trial %s failed: %r", trial.number, error, exc_info=error)
            return Ended("failed", reason=repr(error))

    def _score(self, trial: Trial) -> Ended:
        spec, kitchen = self._resources.spec, self._kitchen
        started = time.monotonic()
        recipe = kitchen.suggest(trial, spec.training.estimators)
        seen: list[float] = []
        for number, fold in enumerate(self._folds):
            fit = kitchen.fit(recipe, self._threads, fold.train)
            prediction = kitchen.predict(fit, fold.validation, self._threads)
            truth = kitchen.truth(fold.validation)
            value = scoring.score(spec.training.metric, truth, prediction, kitchen.classes)
            if not math.isfinite(value):
                return Ended("failed", reason=f"{spec.training.metric} of fold {number} is {value}")
            seen.append(value)
            if number + 1 < len(self._folds):
                why = self._why_stop(trial, float(np.mean(seen)), number)
                if why:
                    return Ended("pruned", reason=why)
        trial.note(scores=seen, seconds=round(time.monotonic() - started, 3))
        return Ended("complete", float(np.mean(seen)))

    def _why_stop(self, trial: Trial, value: float, fold: int) -> str:
        if trial.is_hopeless(value, fold):
            return f"worse than most after fold {fold}"
        if self._clock() >= self._deadline and self._study.has_complete():
            return "the time of the search is over"
        return ""

    def _renewing(self, ticket: int) -> AbstractContextManager[None]:
        """Keep the ticket while a trial takes longer than its lease."""
        key, clock = self._snapshot.key, self._clock
        return renewing(
            lambda: self._ledger.renew_ticket(key, ticket, self._name, clock(), LEASE_S),
            what=f"ticket {ticket} of {key[:12]}",
            lease_s=LEASE_S,
        )


def _tell(study: Study, number: int, ended: Ended) -> None:
    if ended.state == "complete":
        study.complete(number, ended.value)
    elif ended.state == "pruned":
        study.prune(number, ended.reason)
    else:
        study.fail(number, ended.reason)
