"""Who contends in a judging, and what each answers: challenger, champion and the naive baseline."""

from __future__ import annotations

import logging

import polars as pl

from include.evergreen.errors import ArtifactRefused
from include.evergreen.model_code.predictor import Predictor
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import load_predictor
from include.evergreen.stages.deploy.fetch_bundle import fetch_bundle
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.baseline import default_baseline, predict_naively
from include.evergreen.stages.training.contest import predict
from include.evergreen.stages.training.recipes import classes_of, target_of, times_of
from include.evergreen.stages.training.scoring import Prediction

log = logging.getLogger(__name__)


def load_champion(resources: Resources, version: int) -> Predictor:
    """The champion as it is registered, if it is still what the ledger recorded.

    Raises:
        ArtifactRefused: nobody recorded what it was when it was made, or it is not that.
    """
    info = resources.registry.version_info(resources.model, version)
    record = resources.ledger.training(info.training_key) if info.training_key else None
    candidate = record.candidate if record else None
    digest = candidate.manifest_digest if candidate else info.manifest_digest
    if not digest or (candidate and candidate.version != version):
        raise ArtifactRefused(
            f"Champion v{version} of {resources.model} carries no digest that was recorded when it "
            "was made: it is not loaded. Point the alias 'champion' at a version of train's own."
        )
    return load_predictor(fetch_bundle(resources, version, digest), digest)


def answer_of(predictor: Predictor, rows: pl.DataFrame) -> Prediction:
    """What a model says of rows of the lake; a column it knows and they lack is missing."""
    absent = [name for name in predictor.contract["columns"] if name not in rows.columns]
    if absent:
        log.info("The contract has no %s any more: missing to the champion", ", ".join(absent))
        rows = rows.with_columns(pl.lit(None).alias(name) for name in absent)
    return predict(predictor, rows)


def naive_answer(spec: ModelSpec, train: pl.DataFrame, holdout: pl.DataFrame) -> Prediction:
    """What the naive baseline of the spec says of the holdout."""
    times = times_of(train, spec), times_of(holdout, spec)
    return predict_naively(
        spec.gates.naive_baseline or default_baseline(spec.task),
        target_of(train, spec),
        target_of(holdout, spec),
        None if times[0] is None or times[1] is None else (times[0], times[1]),
        classes_of(spec),
    )
