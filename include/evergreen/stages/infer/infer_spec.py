"""Infers a whole spec from one file and its target: what `make model` writes.

The spec that comes out always loads, and its contract always takes the file it was inferred
from. Every guess is said in plain words, so that a person can overrule it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from include.evergreen.contracts import Task
from include.evergreen.errors import InputError
from include.evergreen.spec.problems import nearest
from include.evergreen.stages.infer.columns import (
    Facts,
    allowed_null_share,
    look_at,
    widened,
)
from include.evergreen.stages.infer.leakage import find_leaks
from include.evergreen.stages.infer.plan import monitoring_of, training_of
from include.evergreen.stages.infer.reading import Sample, read_sample
from include.evergreen.stages.infer.roles import (
    Inferred,
    Wanted,
    as_classes,
    key_of,
    task_of,
    time_of,
)

MIN_ROWS = 50
_BINARY = 2
_DUPLICATES = 0.3
_MANY_DUPLICATES = 0.95


def infer_spec(path: Path, wanted: Wanted) -> Inferred:
    """The spec of a file; InputError where none can be made, with what to do about it."""
    sample = read_sample(path)
    frame = sample.frame
    _check_names(frame, wanted)
    facts = {name: look_at(frame[name]) for name in frame.columns}
    found = Inferred({}, rows=frame.height, columns=frame.width)
    if sample.truncated:
        found.guesses.append(f"Looked at the first {frame.height:,} rows only.")
    target = as_classes(facts[wanted.target])
    task = task_of(target, found)
    time = time_of(facts, wanted, found)
    key = key_of(facts, wanted, time, found)
    features = _features_of(facts, target, {time, key}, task, found)
    if not features and not time:
        raise InputError(
            f"Nothing is left to learn {wanted.target!r} from. Left out: "
            + "; ".join(f"{name}: {why}" for name, why in list(found.left_out.items())[:10])
        )
    time_facts = facts[time] if time else None
    calendar = _calendar_of(time_facts, found)
    _say_what_is_missing(features, found)
    found.document = {
        "model": wanted.name,
        "description": f"{wanted.target}, inferred from {path.name}"[:200],
        "task": task,
        "data": _data_of(wanted, sample, time, key, features, target, task),
        **({"features": {"calendar": calendar}} if calendar else {}),
        "training": training_of(task, frame, len(features), time_facts, found.guesses),
        **monitoring_of(features, time_facts),
    }
    return found


def _check_names(frame: pl.DataFrame, wanted: Wanted) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", wanted.name):
        plain = re.sub(r"[^a-z0-9]+", "_", wanted.name.lower()).strip("_")[:63] or "model"
        raise InputError(
            f"{wanted.name[:80]!r} is no model name: small letters, digits and underscores, "
            f"beginning with a letter, {plain if plain[0].isalpha() else 'm_' + plain!r} say."
        )
    for role in ("target", "time", "key"):
        column = getattr(wanted, role)
        if column is not None and column not in frame.columns:
            guess = nearest(column, frame.columns)
            hint = f" Did you mean {guess!r}?" if guess else ""
            shown = ", ".join(repr(name) for name in frame.columns[:10])
            more = f" and {frame.width - 10} more" if frame.width > 10 else ""  # noqa: PLR2004
            raise InputError(
                f"The {role} {column!r} is no column of the file.{hint} It has {shown}{more}."
            )
    if wanted.target in {wanted.time, wanted.key}:
        raise InputError(f"{wanted.target!r} cannot be the target and the time or key at once.")
    if frame.height < MIN_ROWS:
        raise InputError(f"The file has {frame.height} rows; a model needs {MIN_ROWS} or more.")


def _features_of(
    facts: dict[str, Facts],
    target: Facts,
    apart: set[str | None],
    task: Task,
    found: Inferred,
) -> list[Facts]:
    features = []
    for fact in facts.values():
        if fact.name == target.name or fact.name in apart:
            continue
        if fact.why_not:
            found.left_out[fact.name] = fact.why_not
        else:
            features.append(fact)
    leaks = find_leaks(features, target, regression=task == "regression")
    leaking = {name for leak in leaks for name in leak.columns}
    if leaking and len(leaking) == len(features) and not apart - {None}:
        found.guesses.append(
            f"Every feature alone or together determines {target.name!r}; all are kept. "
            "Are they known before it is?"
        )
        return features
    found.leaks = leaks
    for leak in leaks:
        found.left_out |= dict.fromkeys(leak.columns, f"likely leakage: {leak.how}")
    return [fact for fact in features if fact.name not in leaking]


def _calendar_of(time: Facts | None, found: Inferred) -> list[str]:
    if time is None:
        return []
    series = time.series
    parts = []
    if series.dt.hour().n_unique() > 1:
        parts.append("hour")
    if series.dt.date().n_unique() > _BINARY:
        parts.append("weekday")
    if series.dt.month().n_unique() > _BINARY:
        parts.append("month")
    parts = parts or ["weekday"]
    found.guesses.append(f"Calendar features of {time.name!r}: {', '.join(parts)}.")
    return parts


def _say_what_is_missing(features: Sequence[Facts], found: Inferred) -> None:
    for feature in features:
        if feature.null_markers:
            shown = ", ".join(repr(marker) for marker in feature.null_markers)
            found.guesses.append(f"{feature.name!r} holds numbers; {shown} is taken as missing.")
    if any(feature.kind == "category" for feature in features):
        found.guesses.append(
            "A category's value that this file does not have is taken as missing, not refused."
        )


def _data_of(
    wanted: Wanted,
    sample: Sample,
    time: str | None,
    key: str | None,
    features: Sequence[Facts],
    target: Facts,
    task: Task,
) -> dict[str, Any]:
    columns = {feature.name: _column_of(feature) for feature in features}
    columns[target.name] = _target_column(target, task)
    return {
        "landing": f"landing/{wanted.name}",
        "format": sample.format,
        **({"time": time} if time else {}),
        **({"key": key} if key else {}),
        "target": wanted.target,
        "columns": columns,
        **_limits_of(sample.frame.select({*columns, *(c for c in (time, key) if c)})),
    }


def _column_of(facts: Facts) -> dict[str, Any]:
    column: dict[str, Any] = {"type": facts.kind}
    if facts.kind in {"float", "integer"}:
        low, high = widened(facts)
        column |= {"min": low, "max": high}
    if facts.kind == "category":
        column |= {"values": facts.values, "unseen": "as_missing"}
    return column | {"max_null_share": allowed_null_share(facts)}


def _target_column(target: Facts, task: Task) -> dict[str, Any]:
    column: dict[str, Any] = {"type": target.kind}
    if task == "regression":
        low, high = widened(target)
        column |= {"min": low, "max": high}
    elif target.kind != "boolean":
        column = {"type": "category", "values": target.values}
    if target.null_share:
        column["max_null_share"] = allowed_null_share(target)
    return column


def _limits_of(frame: pl.DataFrame) -> dict[str, Any]:
    """Limits that differ from the defaults: a file of few values repeats its rows by nature."""
    share = 1 - frame.n_unique() / frame.height
    if share <= _DUPLICATES:
        return {}
    return {"limits": {"max_duplicate_share": 1.0 if share > _MANY_DUPLICATES else 0.98}}
