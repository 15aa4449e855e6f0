"""Registers the winning recipe, refitted on all rows, as one version under the alias challenger.

What was judged is the recipe fitted without the holdout; what is registered is the same recipe
fitted on everything, and the version says so.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from include.evergreen.adapters.registry import CHALLENGER, RawColumn, RawColumns
from include.evergreen.contracts import Candidate, Fitted, Judgement, Snapshot
from include.evergreen.stages.bundle import read_manifest
from include.evergreen.stages.clock import Clock, utc_now
from include.evergreen.stages.journal import anchor_entries
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.charging import charging
from include.evergreen.stages.training.make_bundle import make_bundle
from include.evergreen.stages.training.search_spaces import Recipe
from include.evergreen.stages.training.training_steps import (
    forget_folder,
    training_folder,
    training_step,
)

log = logging.getLogger(__name__)

STAGE = "register"
_EXAMPLES = 3


def register_candidate(
    resources: Resources,
    snapshot: Snapshot,
    fitted: Fitted,
    judgement: Judgement,
    *,
    clock: Clock = utc_now,
) -> Candidate | None:
    """The registered version of a training that won; None for one that did not.

    A second call finds the version of the first; one that was interrupted is finished.
    """
    if judgement.verdict != "won":
        return None
    with (
        training_step(resources, snapshot, clock),
        charging(resources, snapshot, "refit", clock),
    ):
        record = resources.ledger.training(snapshot.key)
        candidate = record.candidate if record else None
        if candidate is None:
            candidate = _register(resources, snapshot, fitted, judgement)
        resources.ledger.record_candidate(
            candidate, clock(), asked=snapshot.request_ids, run=resources.owner
        )
        anchor_entries(resources, snapshot.model, now=clock())
        _conclude(resources, snapshot, candidate, judgement, clock)
        return candidate


def _register(
    resources: Resources, snapshot: Snapshot, fitted: Fitted, judgement: Judgement
) -> Candidate:
    refit = resources.spec.training.refit
    registry = resources.registry
    found = registry.find_version(snapshot.model, snapshot.key)
    if found is not None:
        version, digest = found.version, found.manifest_digest
        registry.set_alias(snapshot.model, CHALLENGER, version)
    else:
        folder = training_folder(resources, snapshot) / "bundle"
        folder.parent.mkdir(parents=True, exist_ok=True)
        digest = _fitted_again(resources, snapshot, fitted, folder)
        version = registry.register(
            snapshot.model,
            fitted.run_id,
            folder,
            training_key=snapshot.key,
            manifest_digest=digest,
            columns=raw_columns(folder),
            tags=_tags(snapshot, fitted, judgement, refitted=refit)
            | {"served_as": str(read_manifest(folder)["estimator_reason"])},
        )
    return Candidate(
        model=snapshot.model,
        version=version,
        run_id=fitted.run_id,
        training_key=snapshot.key,
        manifest_digest=digest,
        refitted=refit,
    )


def _fitted_again(resources: Resources, snapshot: Snapshot, fitted: Fitted, folder: Path) -> str:
    """The recipe on all rows, or the judged bundle itself where the spec wants no refit."""
    recipe = Recipe(fitted.tuning.estimator, fitted.tuning.params)
    part = "fitting" if resources.spec.training.refit else "train"
    rows = resources.lake.get_part(snapshot.model, snapshot.key, part)  # type: ignore[arg-type]
    return make_bundle(resources, snapshot, recipe, rows, folder)


def _tags(
    snapshot: Snapshot, fitted: Fitted, judgement: Judgement, *, refitted: bool
) -> dict[str, str]:
    scores = {
        f"holdout_{name}": f"{score.metric}={score.value:.6g}"
        for name, score in (
            ("challenger", judgement.challenger),
            ("champion", judgement.champion),
            ("baseline", judgement.baseline),
        )
        if score is not None
    }
    measured = (
        "refitted on all rows; the metrics were measured on the same recipe fitted without the "
        "holdout"
        if refitted
        else "the very model that was judged"
    )
    lenient = [f"{gate.name} ({gate.mode})" for gate in judgement.gates if gate.mode != "block"]
    recipe = {"estimator": fitted.tuning.estimator, "params": fitted.tuning.params}
    return {
        "recipe": json.dumps(recipe),
        "seen_from": snapshot.seen_from,
        "seen_until": snapshot.seen_until,
        "rows_digest": snapshot.rows_digest,
        "spec_digest": snapshot.spec_digest,
        "code_digest": snapshot.code_digest,
        "data_version": str(snapshot.data_version),
        "refit": measured,
        "judgement": judgement.reason,
        "gates_off": ", ".join(lenient) or "none",
        **scores,
    }


def raw_columns(bundle: Path) -> RawColumns:
    """What a request to this bundle carries and gets, for MLflow's signature."""
    contract = json.loads((bundle / "contract.json").read_bytes())
    golden = json.loads((bundle / "golden.json").read_bytes())
    classes = read_manifest(bundle)["classes"]
    inputs = {name: _raw(column) for name, column in contract["columns"].items()}
    outputs = {"prediction": RawColumn("float")}
    if classes is not None:
        label = RawColumn("category", integer_values=isinstance(classes[0], int))
        if isinstance(classes[0], bool):
            label = RawColumn("boolean")
        shares = {f"probability_{name}": RawColumn("float") for name in classes}
        outputs = {"prediction": label, **shares}
    return RawColumns(inputs, outputs, golden["rows"][:_EXAMPLES])


def _raw(column: dict[str, Any]) -> RawColumn:
    values = column["values"]
    return RawColumn(
        column["type"],
        nullable=column["nullable"],
        integer_values=bool(values) and isinstance(values[0], int),
    )


def _conclude(
    resources: Resources,
    snapshot: Snapshot,
    candidate: Candidate,
    judgement: Judgement,
    clock: Clock,
) -> None:
    why = f"v{candidate.version}: {judgement.reason}"
    details = {"training": snapshot.key, "version": candidate.version}
    resources.ledger.record_decision(snapshot.model, STAGE, "registered", why, details, clock())
    resources.registry.finish_run(candidate.run_id, succeeded=True)
    forget_folder(resources, snapshot)
    log.info("%s: registered %s", snapshot.model, why)
