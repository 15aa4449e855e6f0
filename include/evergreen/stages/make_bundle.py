"""Fits a recipe on a part of a snapshot and writes the bundle, whole or not at all."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import polars as pl

from include.evergreen.contracts import Snapshot
from include.evergreen.stages.bundle import contract_of, write_bundle
from include.evergreen.stages.golden_rows import pick_golden_rows
from include.evergreen.stages.recipes import Kitchen, threads_of
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.search_spaces import Recipe


def make_bundle(
    resources: Resources, snapshot: Snapshot, recipe: Recipe, frame: pl.DataFrame, to: Path
) -> str:
    """Fit on these rows with every core there is; the manifest's digest. `to` is replaced."""
    spec = resources.spec
    kitchen = Kitchen(spec, resources.settings.models_dir, frame)
    fit = kitchen.fit(recipe, threads_of(1))
    builder = kitchen.builder(recipe.estimator)
    making = to.with_name(f".{to.name}-{uuid.uuid4().hex}")
    try:
        digest = write_bundle(
            making,
            spec=spec,
            estimator=fit.estimator,
            encoding=fit.encoding,
            plan=fit.plan,
            training_key=snapshot.key,
            golden=pick_golden_rows(frame, contract_of(spec)),
            builder_path=builder.path if builder else None,
            builder_module=builder.module if builder else None,
            classes=kitchen.classes or None,
        )
        shutil.rmtree(to, ignore_errors=True)
        making.rename(to)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return digest
