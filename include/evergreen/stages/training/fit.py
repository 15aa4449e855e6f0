"""Fits the best recipe without the holdout, and logs it to the training's own MLflow run."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from pathlib import Path

import yaml

from include.evergreen.adapters.studies import Study, TrialRecord
from include.evergreen.contracts import Fitted, Snapshot, TuningResult
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.charging import charging
from include.evergreen.stages.training.make_bundle import make_bundle
from include.evergreen.stages.training.search_spaces import Recipe
from include.evergreen.stages.training.training_steps import (
    open_study,
    training_folder,
    training_step,
)

log = logging.getLogger(__name__)

#: The folder, here and among a run's artifacts, of what was fitted without the holdout. There it
#: lies under its digest: a process that wakes in the middle of its upload spoils no other's.
BUNDLE_PATH = "challenger"
#: The folder of a run's artifacts with the study: its trials and its plots.
STUDY_PATH = "study"


def fit_challenger(resources: Resources, snapshot: Snapshot, *, clock: Clock = utc_now) -> Fitted:
    """Fit the best recipe on the train part; the run that holds it.

    A retry finds its own run. Trials that dead workers left are told FAIL first.

    Raises:
        TrainingFailed: no trial of the search completed.
    """
    with (
        training_step(resources, snapshot, clock),
        charging(resources, snapshot, "fit", clock),
    ):
        study = open_study(resources, snapshot)
        study.fail_abandoned()
        best = study.best()
        recipe = Recipe.from_trial(best.params)
        tuning = _tuning(snapshot, study, best, recipe)
        run_id = _open_run(resources, snapshot)
        started = time.monotonic()
        folder = training_folder(resources, snapshot) / BUNDLE_PATH
        folder.parent.mkdir(parents=True, exist_ok=True)
        train = resources.lake.get_part(snapshot.model, snapshot.key, "train")
        digest = make_bundle(resources, snapshot, recipe, train, folder)
        seconds = time.monotonic() - started
        log.info("%s: %s fitted on %s rows in %.1f s", snapshot.model, recipe, len(train), seconds)
        _log_run(resources, snapshot, run_id, tuning, clock)
        path = f"{BUNDLE_PATH}/{digest[:12]}"
        _log_files(resources, run_id, study, folder, path)
        return Fitted(run_id, path, digest, tuning)


def _tuning(snapshot: Snapshot, study: Study, best: TrialRecord, recipe: Recipe) -> TuningResult:
    states = [trial.state for trial in study.trials()]
    return TuningResult(
        study=snapshot.key,
        estimator=recipe.estimator,
        params=recipe.params,
        validation_score=float(best.value or 0.0),
        trials_complete=states.count("complete"),
        trials_pruned=states.count("pruned"),
        trials_failed=states.count("failed"),
        seconds=round(study.seconds(), 3),
    )


def _open_run(resources: Resources, snapshot: Snapshot) -> str:
    name = f"train-{snapshot.key[:8]}"
    run_id = resources.registry.start_run(snapshot.model, snapshot.key, name)
    resources.ledger.set_training_run(snapshot.key, run_id)
    return run_id


def _log_run(
    resources: Resources, snapshot: Snapshot, run_id: str, tuning: TuningResult, clock: Clock
) -> None:
    metric = resources.spec.training.metric
    resources.registry.log_values(
        run_id,
        params={"estimator": tuning.estimator, **tuning.params},
        metrics={
            f"validation_{metric}": tuning.validation_score,
            "trials_complete": tuning.trials_complete,
            "trials_pruned": tuning.trials_pruned,
            "trials_failed": tuning.trials_failed,
            **{f"rows_{part}": count for part, count in snapshot.rows.items()},
        },
        tags={
            "model": snapshot.model,
            "rows_digest": snapshot.rows_digest,
            "spec_digest": snapshot.spec_digest,
            "code_digest": snapshot.code_digest,
            "data_version": str(snapshot.data_version),
            "seen_from": snapshot.seen_from,
            "seen_until": snapshot.seen_until,
            "holdout_from": snapshot.holdout_from,
            "reason": snapshot.reason,
        },
        at_ms=int(clock().timestamp() * 1000),
    )
    uri = f"{resources.settings.lake_uri}/{snapshot.model}/rows"
    resources.registry.log_dataset(
        run_id, f"{snapshot.model}.rows", snapshot.rows_digest, uri, snapshot.rows["fitting"]
    )


def _log_files(resources: Resources, run_id: str, study: Study, bundle: Path, path: str) -> None:
    """One upload for all: the bundle, the spec, the trials and the plots."""
    with tempfile.TemporaryDirectory(prefix="evergreen-run-") as directory:
        root = Path(directory)
        shutil.copytree(bundle, root / path)
        spec = resources.spec.model_dump(mode="json", exclude_unset=True)
        (root / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
        drawn = root / STUDY_PATH
        study.write_plots(drawn)
        trials = [vars(trial) for trial in study.trials()]
        (drawn / "trials.json").write_text(json.dumps(trials, indent=1))
        resources.registry.log_folder(run_id, root)
