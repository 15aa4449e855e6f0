"""Fits a recipe on a part of a snapshot and writes the bundle, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import uuid
from pathlib import Path
from typing import Any

import polars as pl

from include.evergreen.contracts import Snapshot
from include.evergreen.effects import effect
from include.evergreen.errors import ArtifactRefused
from include.evergreen.fencing import still_ours
from include.evergreen.model_code import features
from include.evergreen.stages.bundle import columns_of, contract_of, load_predictor, write_bundle
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.golden_rows import pick_golden_rows
from include.evergreen.stages.training.recipes import Fit, Kitchen, limited, threads_of
from include.evergreen.stages.training.search_spaces import Recipe
from include.evergreen.stages.training.serving_format import ServingFormat, serving_format

log = logging.getLogger(__name__)


def make_bundle(
    resources: Resources, snapshot: Snapshot, recipe: Recipe, frame: pl.DataFrame, to: Path
) -> str:
    """Fit on these rows with every core there is; the manifest's digest.

    The bundle of an interrupted try is taken over if it is whole and of the same recipe: two
    bundles of one fit differ in their bytes (skops writes addresses of objects into them).
    """
    note = to.with_name(f"{to.name}.json")
    made = _made_before(to, note, recipe)
    if made is not None:
        return made
    making = to.with_name(f".{to.name}-{uuid.uuid4().hex}")
    try:
        digest = _write(resources, snapshot, recipe, frame, making)
        still_ours()  # another try may be reading what is there
        _put_in_place(making, to)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    _note(note, {"recipe": dataclasses.asdict(recipe), "digest": digest})
    return digest


@effect
def _put_in_place(making: Path, to: Path) -> None:
    shutil.rmtree(to, ignore_errors=True)
    making.rename(to)


@effect
def _note(note: Path, content: dict[str, Any]) -> None:
    note.write_text(json.dumps(content))


def _made_before(folder: Path, note: Path, recipe: Recipe) -> str | None:
    if not (folder.is_dir() and note.is_file()):
        return None
    try:
        document = json.loads(note.read_bytes())
        digest = str(document["digest"])
        if document["recipe"] != json.loads(json.dumps(dataclasses.asdict(recipe))):
            return None
        load_predictor(folder, digest)  # checks every file
    except (ValueError, KeyError, ArtifactRefused) as error:
        log.warning("The bundle of an earlier try is made anew: %s", error)
        return None
    return digest


@effect
def _write(
    resources: Resources, snapshot: Snapshot, recipe: Recipe, frame: pl.DataFrame, to: Path
) -> str:
    spec = resources.spec
    kitchen = Kitchen(spec, resources.settings.models_dir, frame)
    fit = kitchen.fit(recipe, threads_of(1))
    builder = kitchen.builder(recipe.estimator)
    classes = kitchen.classes or None
    with limited(threads=1, cells=0):
        served = _serving_format(resources, snapshot, fit, classes)
        return write_bundle(
            to,
            spec=spec,
            estimator=fit.estimator,
            encoding=fit.encoding,
            plan=fit.plan,
            training_key=snapshot.key,
            golden=pick_golden_rows(frame, contract_of(spec)),
            builder_path=builder.path if builder else None,
            builder_module=builder.module if builder else None,
            classes=classes,
            onnx=served.onnx,
            format_reason=served.reason,
        )


def _serving_format(
    resources: Resources, snapshot: Snapshot, fit: Fit, classes: list[Any] | None
) -> ServingFormat:
    """Compared on every row of the holdout, whichever rows it was fitted on."""
    holdout = resources.lake.get_part(snapshot.model, snapshot.key, "holdout")
    columns = columns_of(holdout, contract_of(resources.spec))
    return serving_format(fit.estimator, fit.plan, features.transform(columns, fit.plan), classes)
