"""One study a training, shared by its workers, that outlives any of them.

Trials live in a journal file, one a study, under a lock that the kernel lets go of when its
holder dies; a line torn by a kill is cut off before the next is written. What must be tried
first (the champion's parameters, then each estimator's defaults) is enqueued exactly once, and
again if its worker died over it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from include.evergreen.adapters.studies.locks import JournalLock, alone
from include.evergreen.effects import effect, read
from include.evergreen.errors import TrainingFailed
from include.evergreen.settings import Settings

log = logging.getLogger(__name__)
optuna.logging.set_verbosity(optuna.logging.WARNING)

#: Trials that run to the end before any is pruned.
STARTUP_TRIALS = 4
_REASON = "reason"
_EXTRA = "extra"
_MAX_REASON = 500

State = Literal["complete", "pruned", "failed", "running", "waiting"]
Params = Mapping[str, Any]
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study as it stands. `value` is None unless it is complete."""

    number: int
    state: State
    params: dict[str, Any]
    value: float | None
    reason: str
    extra: dict[str, Any] = field(default_factory=dict)


class Trial:
    """A running trial: asks for parameters, reports a score a fold."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    @property
    def number(self) -> int:
        return int(self._trial.number)

    @effect
    def choice(self, name: str, values: Sequence[Any]) -> Any:
        return self._trial.suggest_categorical(name, list(values))

    @effect
    def integer(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self._trial.suggest_int(name, low, high, log=log))

    @effect
    def real(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return float(self._trial.suggest_float(name, low, high, log=log))

    @property
    def native(self) -> optuna.Trial:
        """Optuna's own trial, for the search space of a user's builder."""
        return self._trial

    @effect
    def is_hopeless(self, value: float, fold: int) -> bool:
        """Report the score up to this fold; whether the trial is worse than most were there."""
        self._trial.report(value, fold)
        return bool(self._trial.should_prune())

    @effect
    def note(self, **extra: Any) -> None:
        """Keep small JSON values with the trial."""
        self._trial.set_user_attr(_EXTRA, extra)


class Study:
    """One training's search, as one of its workers sees it."""

    def __init__(self, study: optuna.Study, lock: Path) -> None:
        self._study = study
        self._lock = lock

    @effect
    def ask(self, bind: Callable[[int], None] | None = None) -> Trial:
        """Begin the next trial: an enqueued one if there is one, else what the sampler says.

        `bind` gets its number before anybody else may take it for abandoned.
        """
        with alone(self._lock):
            trial = Trial(self._study.ask())
            if bind is not None:
                bind(trial.number)
        return trial

    @effect
    def complete(self, number: int, value: float) -> None:
        """The trial's score. Nothing happens if the trial was told FAIL meanwhile."""
        self._tell(number, value, TrialState.COMPLETE, "")

    @effect
    def prune(self, number: int, reason: str) -> None:
        self._tell(number, None, TrialState.PRUNED, reason)

    @effect
    def fail(self, number: int, reason: str) -> None:
        self._tell(number, None, TrialState.FAIL, reason)

    @effect
    def fail_abandoned(self, bound: Callable[[], Collection[int]] = frozenset) -> list[int]:
        """Tell trials of dead workers FAIL; what they had to try first is enqueued again.

        Args:
            bound: the trials that are somebody's; every other running one is nobody's.
        """
        if not any(trial.state == TrialState.RUNNING for trial in self._trials()):
            return []
        with alone(self._lock):
            held = bound()
            abandoned = [
                trial
                for trial in self._trials()
                if trial.state == TrialState.RUNNING and trial.number not in held
            ]
            for trial in abandoned:
                self.fail(trial.number, "its worker died")
                fixed = trial.system_attrs.get("fixed_params")
                if fixed:
                    self._study.enqueue_trial(fixed)
        return [trial.number for trial in abandoned]

    @read
    def running(self) -> list[int]:
        """The numbers of the trials that somebody runs, or ran when they died."""
        return [trial.number for trial in self._trials() if trial.state == TrialState.RUNNING]

    @read
    def has_complete(self) -> bool:
        return any(trial.state == TrialState.COMPLETE for trial in self._trials())

    @read
    def trials(self) -> list[TrialRecord]:
        """All trials, in the order of their numbers."""
        return [_record(trial) for trial in self._trials()]

    @read
    def seconds(self) -> float:
        """From the first trial's start to the last one's end."""
        starts = [t.datetime_start for t in self._trials() if t.datetime_start]
        ends = [t.datetime_complete for t in self._trials() if t.datetime_complete]
        return (max(ends) - min(starts)).total_seconds() if starts and ends else 0.0

    @read
    def best(self) -> TrialRecord:
        """The best complete trial; of equals the first.

        Raises:
            TrainingFailed: no trial completed; the reasons of the last ones are named.
        """
        complete = [t for t in self.trials() if t.state == "complete" and t.value is not None]
        if not complete:
            raise TrainingFailed(self._why_none())
        sign = 1 if self._study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number))

    def _why_none(self) -> str:
        trials = self.trials()
        reasons = dict.fromkeys(t.reason for t in reversed(trials) if t.reason)
        seen = "; ".join(list(reasons)[:3]) or "no trial came to its end within the time"
        return (
            f"None of {len(trials)} trials completed: {seen}. Mend the data, the estimators or "
            "training.budget of the spec, then trigger train again."
        )

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        return self._study.get_trials(deepcopy=False)  # type: ignore[no-any-return]

    def _tell(self, number: int, value: float | None, state: TrialState, reason: str) -> None:
        trial = next(t for t in self._trials() if t.number == number)
        if trial.state.is_finished():
            log.warning("Trial %s was ended before (%s); its result is dropped", number, state.name)
            return
        if reason:
            self._study._storage.set_trial_user_attr(trial._trial_id, _REASON, reason[:_MAX_REASON])  # noqa: SLF001 - no public way to note on a trial by number
        self._study.tell(number, value, state=state)

    @effect
    def write_plots(self, directory: Path) -> list[Path]:
        """Draw how the search went, as PNG files; none where there is too little to draw."""
        from include.evergreen.adapters.studies.plots import write_plots

        return write_plots(self._study, directory)


class Studies:
    """All studies of an installation: one journal file each under `settings.studies_dir`."""

    def __init__(self, settings: Settings) -> None:
        self._directory = settings.studies_dir

    @effect
    def open(
        self,
        name: str,
        *,
        greater_is_better: bool,
        seed: int,
        first: Callable[[], Sequence[Params]] = tuple,
    ) -> Study:
        """The study of this name, made by whoever comes first.

        Args:
            name: the training key.
            greater_is_better: which way the metric improves.
            seed: of this worker's sampler; two workers of one study take different ones.
            first: what to try first, in this order; called only by the one who makes the study.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        journal = self._directory / f"{name}.journal"
        lock = self._directory / f"{name}.open.lock"
        storage = _storage(journal)
        with alone(lock):
            study = optuna.create_study(
                study_name=name,
                storage=storage,
                direction="maximize" if greater_is_better else "minimize",
                sampler=_sampler(seed),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
                load_if_exists=True,
            )
            if "enqueued" not in study.user_attrs:
                for params in first():
                    study.enqueue_trial(dict(params), skip_if_exists=True)
                study.set_user_attr("enqueued", value=True)
        return Study(study, lock)

    @read
    def find(self) -> dict[str, dt.datetime]:
        """Every study that has a journal or what is left of one, and when it last changed."""
        found: dict[str, dt.datetime] = {}
        for path in self._directory.glob("*.*"):
            name = path.name.split(".", 1)[0]
            changed = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
            found[name] = max(changed, found.get(name, changed))
        return found

    @read
    def existing(self, name: str) -> Study | None:
        """The study of this name as it stands; None where there is no whole one."""
        journal = self._directory / f"{name}.journal"
        if not journal.is_file():
            return None
        try:
            study = optuna.load_study(study_name=name, storage=_storage(journal))
        except KeyError:
            return None
        return Study(study, self._directory / f"{name}.open.lock")

    @effect
    def remove(self, name: str) -> None:
        """Remove a study's journal and locks; gone already is fine."""
        for path in self._directory.glob(f"{name}.*"):
            path.unlink(missing_ok=True)


def _storage(journal: Path) -> optuna.storages.JournalStorage:
    return optuna.storages.JournalStorage(
        JournalFileBackend(str(journal), lock_obj=JournalLock(journal))
    )


def _sampler(seed: int) -> optuna.samplers.TPESampler:
    """TPE over related parameters; workers do not repeat what another is trying now."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed,
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=6,
        )


def _record(trial: optuna.trial.FrozenTrial) -> TrialRecord:
    return TrialRecord(
        number=trial.number,
        state=_STATES[trial.state],
        params=dict(trial.params),
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        reason=str(trial.user_attrs.get(_REASON, "")),
        extra=dict(trial.user_attrs.get(_EXTRA, {})),
    )
