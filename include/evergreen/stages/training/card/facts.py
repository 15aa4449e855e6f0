"""Collects all that a card says into one JSON document, `card.json`: the pages are drawn of it.

Nothing in it depends on when it was written: the same training gives the same card.
"""

from __future__ import annotations

from typing import Any, get_args

from include.evergreen.contracts import (
    Candidate,
    Fitted,
    GateName,
    GateResult,
    Judgement,
    Snapshot,
)
from include.evergreen.policy.metrics import KNOWN
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.bundle import read_manifest
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training.card.columns import columns_of_card
from include.evergreen.stages.training.card.dependence import explanation_of
from include.evergreen.stages.training.card.kept import FORMAT
from include.evergreen.stages.training.card.measured import CONFIDENCE, answers_of, metrics_of
from include.evergreen.stages.training.card.plain import plain
from include.evergreen.stages.training.contest import Contest


def card_of(
    resources: Resources,
    snapshot: Snapshot,
    fitted: Fitted,
    judgement: Judgement,
    candidate: Candidate | None,
    contest: Contest,
) -> dict[str, Any]:
    """The whole card as plain JSON.

    Args:
        resources: spec, ledger and registry.
        snapshot: the rows and digests of the training.
        fitted: the challenger and its search.
        judgement: `won` or `lost`.
        candidate: the version that a won training was registered as.
        contest: the challenger, the rows, and every answer; see `contest_again`.
    """
    spec = resources.spec
    card = {
        "format": FORMAT,
        "model": _model(spec),
        "version": candidate.version if candidate else None,
        "judgement": _judgement(judgement),
        "served": _served(candidate, judgement),
        "data": _data(resources, snapshot) | columns_of_card(contest),
        "recipe": _recipe(fitted, contest),
        "metrics": {"confidence": CONFIDENCE, "rows": metrics_of(contest)},
        "answers": answers_of(contest),
        "explanation": explanation_of(contest),
        "gates": [_gate(spec, name, judgement.gates) for name in get_args(GateName)],
        "lineage": _lineage(resources, snapshot, fitted, judgement, candidate),
        "decisions": [],
    }
    plainly: dict[str, Any] = plain(card)
    return plainly


def _model(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": spec.model,
        "description": spec.description,
        "owner": spec.owner,
        "task": spec.task,
        "target": spec.data.target,
        "metric": spec.training.metric,
        "greater_is_better": KNOWN[spec.training.metric].greater_is_better,
    }


def _judgement(judgement: Judgement) -> dict[str, Any]:
    document = judgement.as_json()
    del document["gates"]
    return document


def _served(candidate: Candidate | None, judgement: Judgement) -> dict[str, Any]:
    """Which fit the figures are of, and which one serves."""
    if judgement.verdict != "won" or candidate is None:
        return {"refitted": None, "words": "This challenger was not registered; nothing serves it."}
    if candidate.refitted:
        words = (
            f"The figures are of the judged recipe, fitted without the holdout. Version "
            f"{candidate.version} is the same recipe refitted on all rows, holdout included."
        )
    else:
        words = f"Version {candidate.version} is the very model that was judged."
    return {"refitted": candidate.refitted, "words": words}


def _data(resources: Resources, snapshot: Snapshot) -> dict[str, Any]:
    data = resources.spec.data
    return {
        "rows": snapshot.rows,
        "rows_digest": snapshot.rows_digest,
        "data_version": snapshot.data_version,
        "labels_version": snapshot.labels_version,
        "seen_from": snapshot.seen_from,
        "seen_until": snapshot.seen_until,
        "holdout_from": snapshot.holdout_from,
        "time": data.time,
        "key": data.key,
        "format": data.format,
        "late_labels": data.labels is not None,
        "contract_digest": resources.spec.contract_digest(),
    }


def _recipe(fitted: Fitted, contest: Contest) -> dict[str, Any]:
    spec, tuning, manifest = contest.spec, fitted.tuning, read_manifest(contest.bundle)
    features = spec.features.model_dump(mode="json", exclude_defaults=True)
    return {
        "estimator": tuning.estimator,
        "params": tuning.params,
        "features": features,
        "validation_score": tuning.validation_score,
        "trials": {
            "complete": tuning.trials_complete,
            "pruned": tuning.trials_pruned,
            "failed": tuning.trials_failed,
        },
        "seconds": tuning.seconds,
        "folds": spec.training.folds,
        "seed": spec.training.seed,
        "served_as": manifest["estimator"],
        "served_because": manifest["estimator_reason"],
        "python": manifest["python"],
        "libraries": manifest["libraries"],
    }


def _gate(spec: ModelSpec, name: GateName, results: tuple[GateResult, ...]) -> dict[str, Any]:
    """What the judge recorded; a gate that it did not know of then is told as not recorded."""
    for result in results:
        if result.name == name:
            return result.as_json()
    return {
        "name": name,
        "mode": spec.gates.mode(name),
        "verdict": "not_recorded",
        "seen": "the judgement has no word of this gate",
        "required": "",
        "evidence": {},
    }


def _lineage(
    resources: Resources,
    snapshot: Snapshot,
    fitted: Fitted,
    judgement: Judgement,
    candidate: Candidate | None,
) -> dict[str, Any]:
    record = resources.ledger.training(snapshot.key)
    asked = resources.ledger.requests(snapshot.request_ids)
    return {
        "training_key": snapshot.key,
        "rows_digest": snapshot.rows_digest,
        "spec_digest": snapshot.spec_digest,
        "code_digest": snapshot.code_digest,
        "data_version": snapshot.data_version,
        "labels_version": snapshot.labels_version,
        "judged_bundle": fitted.manifest_digest,
        "registered_bundle": candidate.manifest_digest if candidate else None,
        "champion_version": judgement.champion_version,
        "run_id": fitted.run_id,
        "run_url": resources.registry.run_url(fitted.run_id),
        "opened_at": record.opened_at if record else None,
        "opened_by": record.owner if record else None,
        "reason": snapshot.reason,
        "asked_by": [
            {
                "id": r.id,
                "reason": r.reason,
                "cause": r.cause,
                "at": r.created_at,
                **_why(r.details),
            }
            for r in asked
        ],
    }


def _why(details: dict[str, Any]) -> dict[str, Any]:
    """What a request says of itself, as far as it says it in a line."""
    return {"details": {name: value for name, value in details.items() if value not in (None, "")}}
