"""Holds challenger, champion and the naive baseline against each other, on rows new to all three.

Models answer raw columns through the very code that is served; the gates look at the answers
(`run_gates`). The judge's word is recorded before anything acts on it, and the first one stands.
"""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from include.evergreen.contracts import Fitted, Judgement, Snapshot
from include.evergreen.errors import ArtifactRefused
from include.evergreen.model_code.predictor import Predictor
from include.evergreen.stages.bundle import load_predictor
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training import scoring
from include.evergreen.stages.training.claim import standing
from include.evergreen.stages.training.contenders import answer_of, load_champion, naive_answer
from include.evergreen.stages.training.contest import Contest
from include.evergreen.stages.training.fit import BUNDLE_PATH
from include.evergreen.stages.training.freeze import champion_of
from include.evergreen.stages.training.frozen_rows import unseen_by
from include.evergreen.stages.training.recipes import (
    classes_of,
)
from include.evergreen.stages.training.run_gates import judge_contest
from include.evergreen.stages.training.scoring import Prediction
from include.evergreen.stages.training.training_steps import (
    forget_folder,
    training_folder,
    training_step,
)

log = logging.getLogger(__name__)

STAGE = "judge"


def judge_challenger(
    resources: Resources, snapshot: Snapshot, fitted: Fitted, *, clock: Clock = utc_now
) -> Judgement:
    """The judgement that stands for this training: `won`, `lost`, or `not_yet` for lack of rows.

    Raises:
        ArtifactRefused: a bundle is not what was recorded when it was made.
    """
    with training_step(resources, snapshot, clock):
        record = resources.ledger.training(snapshot.key)
        judgement = record.judgement if record else None
        if judgement is None or judgement.verdict == "not_yet":
            judgement = _judge(resources, snapshot, fitted, clock)
        standing_word = resources.ledger.record_judgement(
            snapshot.key,
            judgement,
            clock(),
            asked=snapshot.request_ids,
            run=resources.owner,
        )
        anchor_entries(resources, snapshot.model, now=clock())
        _conclude(resources, snapshot, fitted, standing_word, clock)
        return standing_word


def _judge(resources: Resources, snapshot: Snapshot, fitted: Fitted, clock: Clock) -> Judgement:
    spec = resources.spec
    holdout = resources.lake.get_part(snapshot.model, snapshot.key, "holdout")
    train = resources.lake.get_part(snapshot.model, snapshot.key, "train")
    version, seen_until = champion_of(resources)
    if seen_until is not None:
        held = holdout.height
        holdout = unseen_by(holdout, spec, seen_until)
        if holdout.height < spec.training.holdout.min_rows:
            return Judgement(
                "not_yet",
                f"champion v{version} came meanwhile and has seen {held - holdout.height:,} of the "
                f"{held:,} rows held out; {holdout.height:,} are left, and the holdout needs "
                f"{spec.training.holdout.min_rows:,}",
                champion_version=version,
            )
    answers = {"baseline": naive_answer(spec, train, holdout)}
    if version is not None:
        answers["champion"] = answer_of(load_champion(resources, version), holdout)
    with _challenger(resources, snapshot, fitted) as (challenger, bundle):
        answers["challenger"] = answer_of(challenger, holdout)
        _log_scores(resources, fitted, holdout, answers, clock)
        return judge_contest(
            Contest(spec, train, holdout, challenger, bundle, answers, champion_version=version)
        )


@contextlib.contextmanager
def _challenger(
    resources: Resources, snapshot: Snapshot, fitted: Fitted
) -> Iterator[tuple[Predictor, Path]]:
    """It and its bundle: this machine's own folder if that is the one, else the run's."""
    local = training_folder(resources, snapshot) / BUNDLE_PATH
    own = _own(local, fitted) if local.is_dir() else None
    if own is not None:
        yield own, local
        return
    with tempfile.TemporaryDirectory(prefix="evergreen-judge-") as directory:
        folder = resources.registry.download_folder(
            fitted.run_id, fitted.bundle_path, Path(directory)
        )
        yield load_predictor(folder, fitted.manifest_digest), folder


def _own(local: Path, fitted: Fitted) -> Predictor | None:
    try:
        return load_predictor(local, fitted.manifest_digest)
    except ArtifactRefused as error:
        log.warning("The local copy is not used: %s", error)
        return None


def _log_scores(
    resources: Resources,
    fitted: Fitted,
    holdout: pl.DataFrame,
    answers: dict[str, Prediction],
    clock: Clock,
) -> None:
    """Every metric of every contender, to the training's run; those that the spec names, too."""
    spec = resources.spec
    named = (spec.training.metric, *spec.gates.floors)
    truth, classes = holdout[spec.data.target].to_numpy(), classes_of(spec)
    metrics = {
        f"holdout_{metric}_{name}": value
        for name, answer in answers.items()
        for metric, value in scoring.scores(spec.task, truth, answer, classes, named).items()
    }
    at_ms = int(clock().timestamp() * 1000)
    resources.registry.log_values(fitted.run_id, metrics=metrics, at_ms=at_ms)


def _conclude(
    resources: Resources, snapshot: Snapshot, fitted: Fitted, word: Judgement, clock: Clock
) -> None:
    """Tell the decisions and the run, which ends here unless the challenger won."""
    gates = {gate.name: f"{gate.verdict} ({gate.mode})" for gate in word.gates}
    details: dict[str, Any] = {
        "training": snapshot.key,
        "standing": standing(resources),
        "gates": gates,
    }
    resources.ledger.record_decision(
        snapshot.model, STAGE, word.verdict, word.reason, details, clock()
    )
    log.info("%s: %s, %s", snapshot.model, word.verdict, word.reason)
    tags = {"verdict": word.verdict, "verdict_reason": word.reason}
    tags |= {f"gate_{name}": said for name, said in gates.items()}
    resources.registry.log_values(fitted.run_id, tags=tags)
    resources.registry.log_text(
        fitted.run_id, json.dumps(word.as_json(), indent=1), "judgement.json"
    )
    if word.verdict == "won":
        return
    resources.registry.finish_run(fitted.run_id, succeeded=True)
    forget_folder(resources, snapshot)
