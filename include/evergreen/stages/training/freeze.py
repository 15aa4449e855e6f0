"""Freezes the rows of one training: the same rows, spec and code are one training, once.

What cannot be trained on yet (too few rows, a constant target, a class that is missing) is a
decision with its counts, and the requests stay pending.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import hashlib
import json
import logging
from typing import Any

import numpy as np
import polars as pl

from include.evergreen.contracts import Claim, Snapshot
from include.evergreen.errors import LedgerConflict
from include.evergreen.policy.holdout import why_not_trainable
from include.evergreen.stages.resources import Resources
from include.evergreen.stages.training import frozen_rows
from include.evergreen.stages.training.claim import standing
from include.evergreen.stages.training.code_digest import code_digest
from include.evergreen.stages.training.frozen_rows import Split
from include.evergreen.stages.training.recipes import check_builders, classes_of

log = logging.getLogger(__name__)

CHAMPION = "champion"
STAGE = "freeze"
_FINAL = ("registered", "lost", "not_yet")


def freeze_snapshot(resources: Resources, claim: Claim, *, now: dt.datetime) -> Snapshot | None:
    """The snapshot to train on; None for "not yet", or where it was trained already.

    Raises:
        BuilderRefused: an estimator builder of the spec could not be served.
    """
    builders = check_builders(resources.spec, resources.settings.models_dir)
    versions = standing(resources)
    if versions["rows"] is None:
        return _not_yet(resources, "no row was ingested yet", {"rows": 0}, now)
    frame = _usable(resources, versions["rows"], versions["labels"])
    counts = {"rows": frame.height}
    needed = resources.spec.training.min_rows
    if frame.height < needed:
        why = f"{frame.height:,} rows with a target, {needed:,} are required (training.min_rows)"
        return _not_yet(resources, why, counts, now)
    champion, seen_until = champion_of(resources)
    split = frozen_rows.split_rows(frame, resources.spec, seen_until)
    counts |= {"train": split.train.height, "holdout": split.holdout.height}
    why = split.boundary.why_not or _why_not_trainable(resources, split)
    if why:
        return _not_yet(resources, why, counts, now)
    snapshot = _snapshot(resources, claim, frame, versions, code_digest(builders))
    snapshot = dataclasses.replace(
        snapshot,
        rows={**counts, "fitting": frame.height},
        holdout_from=split.holdout_from,
        champion_version=champion,
    )
    return _open(resources, claim, snapshot, frame, split, now=now)


def _snapshot(
    resources: Resources, claim: Claim, frame: pl.DataFrame, versions: dict[str, Any], code: str
) -> Snapshot:
    seen_from, seen_until = frozen_rows.seen_range(frame, resources.spec)
    digest = frozen_rows.rows_digest(frame)
    return Snapshot(
        model=resources.model,
        key=_training_key(resources, claim, digest, code),
        data_version=versions["rows"],
        labels_version=versions["labels"],
        rows_digest=digest,
        spec_digest=resources.spec.training_digest(),
        code_digest=code,
        rows={},
        seen_from=seen_from,
        seen_until=seen_until,
        holdout_from="",
        budget=claim.budget,
        request_ids=claim.request_ids,
        reason=claim.reason,
    )


def champion_of(resources: Resources) -> tuple[int | None, str | None]:
    """The champion's version, and up to where it has seen the rows; None, None without one."""
    version = resources.registry.version_of(resources.model, CHAMPION)
    if version is None:
        return None, None
    snapshot = resources.ledger.snapshot_of_version(resources.model, version)
    seen = snapshot.seen_until if snapshot else ""
    seen = seen or resources.registry.version_info(resources.model, version).seen_until
    if not seen:
        raise LedgerConflict(
            f"Champion v{version} of {resources.model} is known to neither ledger nor registry as "
            "one of ours: nobody can say which rows it was fitted on, so no holdout is fair. Point "
            "the alias 'champion' at a version that train registered, or remove it."
        )
    return version, seen


def _usable(resources: Resources, rows: int, labels: int | None) -> pl.DataFrame:
    lake, spec = resources.lake, resources.spec
    late = None
    if spec.data.labels is not None and labels is not None:
        late = lake.latest_labels(spec.model, spec.data.labels.key, labels)
    return frozen_rows.usable_rows(lake.scan(spec.model, "rows", rows), late, spec)


def _why_not_trainable(resources: Resources, split: Split) -> str:
    classes = [str(label) for label in classes_of(resources.spec)] or None
    target = resources.spec.data.target
    if classes is None:
        parts = [_extremes(part[target]) for part in (split.train, split.holdout)]
    else:
        parts = [_counts(part[target]) for part in (split.train, split.holdout)]
    return why_not_trainable(parts[0], parts[1], classes)


def _extremes(target: pl.Series) -> dict[str, int]:
    """Two values of a regression's target, or one where it is constant."""
    values = target.cast(pl.Float64).to_numpy()
    return {f"{value:g}": 1 for value in np.unique([values.min(), values.max()])}


def _counts(target: pl.Series) -> dict[str, int]:
    return {str(label): n for label, n in collections.Counter(target.to_list()).items()}


def _training_key(resources: Resources, claim: Claim, digest: str, code: str) -> str:
    """What makes two trainings the same one."""
    budget = resources.spec.training.budget
    as_in_spec = (claim.budget.trials, claim.budget.seconds) == (budget.trials, budget.seconds)
    identity = {
        "model": resources.model,
        "rows": digest,
        "spec": resources.spec.training_digest(),
        "code": code,
        "budget": None if as_in_spec else [claim.budget.trials, claim.budget.seconds],
        "forced_by": claim.forced_by,
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _open(
    resources: Resources,
    claim: Claim,
    snapshot: Snapshot,
    frame: pl.DataFrame,
    split: Split,
    *,
    now: dt.datetime,
) -> Snapshot | None:
    """Open the training; parts are written before, so that an open training has its rows."""
    ledger = resources.ledger
    before = ledger.training(snapshot.key)
    if before is not None and before.state in _FINAL:
        why = f"these rows, spec and code were trained already ({before.state})"
        if before.judgement is not None:
            why += f": {before.judgement.reason}"
        if before.state == "not_yet":
            return _not_yet(resources, why, {"training": snapshot.key}, now)
        ledger.record_decision(
            snapshot.model, STAGE, "already_trained", why, {"training": snapshot.key}, now
        )
        ledger.answer_requests(claim.request_ids, snapshot.key, before.state, why, now)
        log.info("%s: %s", snapshot.model, why)
        return None
    if before is None or before.snapshot.champion_version == snapshot.champion_version:
        for part, rows in (("train", split.train), ("holdout", split.holdout), ("fitting", frame)):
            resources.lake.put_part(snapshot.model, snapshot.key, part, rows)  # type: ignore[arg-type]
    record = ledger.open_training(snapshot, claim.run_id, now)
    ledger.record_decision(
        snapshot.model,
        STAGE,
        "frozen",
        f"{snapshot.rows['train']:,} rows to learn from, {snapshot.rows['holdout']:,} held out",
        {"training": snapshot.key, "data_version": snapshot.data_version},
        now,
    )
    return dataclasses.replace(record.snapshot, request_ids=claim.request_ids)


def _not_yet(
    resources: Resources, why: str, facts: dict[str, Any], now: dt.datetime
) -> Snapshot | None:
    details = {**facts, "standing": standing(resources)}
    resources.ledger.record_decision(resources.model, STAGE, "not_yet", why, details, now)
    log.info("%s: not yet, %s", resources.model, why)
    return None
