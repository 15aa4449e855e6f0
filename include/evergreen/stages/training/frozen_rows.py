"""The rows a training may use, in one order, with one digest, and their split.

Whatever the layout of the table and the order in which rows arrived, the same rows come out in
the same order with the same digest. Where the spec has a key, one row a key counts: the one that
arrived last (a later row corrects an earlier one); rows without a key, or of a model without one,
all count.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from include.evergreen.policy.holdout import (
    Boundary,
    HoldoutRules,
    boundary_by_hash,
    boundary_in_time,
    stable_hash,
)
from include.evergreen.spec import ModelSpec

#: The batch that first brought a row (its key, where there is one).
BATCH = "_batch"
_ARRIVAL = (BATCH, "_file_digest", "_row_number")
_MICROS = 1_000_000


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to be judged on, or why there are none of these."""

    boundary: Boundary
    train: pl.DataFrame
    holdout: pl.DataFrame
    holdout_from: str = ""


def usable_rows(rows: pl.LazyFrame, labels: pl.LazyFrame | None, spec: ModelSpec) -> pl.DataFrame:
    """The rows with a target (and a time), one a key, sorted by time and then by all columns.

    Args:
        rows: the rows table at one version.
        labels: one row a key, where labels come later; they win over a target in the row.
        spec: the model's spec.
    """
    data = spec.data
    present = rows.collect_schema().names()
    named = [*data.columns, *(c for c in (data.time, data.key) if c)]
    wanted = [name for name in dict.fromkeys(named) if name in present]
    frame = rows.select(*wanted, *(name for name in _ARRIVAL if name in present))
    if data.key is not None:
        frame = _newest_of_key(frame, data.key)
    if labels is not None and data.key is not None and data.labels is not None:
        frame = _with_labels(frame, labels, spec)
    frame = frame.filter(pl.col(data.target).is_not_null())
    if data.time is not None:
        frame = frame.filter(pl.col(data.time).is_not_null())
    first = [data.time] if data.time else []
    used = list(dict.fromkeys([*first, *wanted, data.target]))
    return frame.select(*used, BATCH).sort(*used, BATCH, nulls_last=True).collect()


def _newest_of_key(frame: pl.LazyFrame, key: str) -> pl.LazyFrame:
    """The last row of each key, under the batch that first brought the key."""
    known = frame.filter(pl.col(key).is_not_null())
    arrival = [name for name in _ARRIVAL if name in frame.collect_schema().names()]
    newest = (
        known.sort(*arrival)
        .group_by(key, maintain_order=True)
        .agg(pl.exclude(BATCH).last(), pl.col(BATCH).min())
        .select(frame.collect_schema().names())
    )
    return pl.concat([newest, frame.filter(pl.col(key).is_null())])


def _with_labels(frame: pl.LazyFrame, labels: pl.LazyFrame, spec: ModelSpec) -> pl.LazyFrame:
    data = spec.data
    names = labels.collect_schema().names()
    key = data.labels.key if data.labels and data.labels.key in names else str(data.key)
    late = labels.select(
        pl.col(key).alias("_label_key"), pl.col(data.target).alias("_label")
    ).filter(pl.col("_label_key").is_not_null())
    kind = frame.collect_schema()[str(data.key)]
    joined = frame.join(
        late.with_columns(pl.col("_label_key").cast(kind)),
        left_on=str(data.key),
        right_on="_label_key",
        how="left",
    )
    has_own = data.target in frame.collect_schema().names()
    own = [pl.col(data.target)] if has_own else []
    return joined.with_columns(pl.coalesce(pl.col("_label"), *own).alias(data.target)).drop(
        "_label"
    )


def rows_digest(frame: pl.DataFrame) -> str:
    """Sha256 (hex) over names, types and values of sorted rows; `_batch` does not count."""
    digest = hashlib.sha256(str(frame.height).encode())
    for series in frame.drop(BATCH, strict=False):
        digest.update(f"\0{series.name}\0{series.dtype}\0".encode())
        missing = series.is_null()
        digest.update(np.packbits(missing.to_numpy()).tobytes())
        known = series.drop_nulls()
        if series.dtype in (pl.String, pl.Categorical):
            texts = known.cast(pl.String)
            digest.update(texts.str.len_bytes().to_numpy().astype("<i8").tobytes())
            digest.update("".join(texts.to_list()).encode("utf-8", "surrogatepass"))
            continue
        values = known.to_physical().to_numpy()
        if values.dtype.kind == "f":
            values = values + 0.0  # one zero
        digest.update(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def split_rows(frame: pl.DataFrame, spec: ModelSpec, seen_until: str | None) -> Split:
    """Split sorted rows by the rule of `policy.holdout`.

    Args:
        frame: as `usable_rows` gives them.
        spec: the model's spec.
        seen_until: of the champion's snapshot: a time, or a batch where the model has no time.
    """
    holdout = spec.training.holdout
    rules = HoldoutRules(days=holdout.days, share=holdout.share, min_rows=holdout.min_rows)
    if spec.data.time is not None:
        return _split_in_time(frame, spec.data.time, seen_until, rules)
    return _split_by_hash(frame, spec.data.key, seen_until, rules)


def _split_in_time(
    frame: pl.DataFrame, time: str, seen_until: str | None, rules: HoldoutRules
) -> Split:
    counted = frame.group_by(time, maintain_order=True).len()
    seconds = (counted[time].to_physical() / _MICROS).to_list()
    seen = None if seen_until is None else _second(seen_until)
    boundary = boundary_in_time(seconds, counted["len"].to_list(), seen, rules)
    if boundary.at is None:
        return Split(boundary, frame, frame.clear())
    first = counted[time].filter(pl.Series(seconds) >= boundary.at)[0]
    held_out = frame[time] >= first
    return Split(boundary, frame.filter(~held_out), frame.filter(held_out), first.isoformat())


def _split_by_hash(
    frame: pl.DataFrame, key: str | None, seen_until: str | None, rules: HoldoutRules
) -> Split:
    unseen = pl.Series([True] * frame.height, dtype=pl.Boolean)
    if seen_until is not None:
        unseen = frame[BATCH] > int(seen_until)
    names = [key] if key else [name for name in frame.columns if name != BATCH]
    texts = [pl.col(name).cast(pl.String).fill_null("\x00") for name in names]
    identities = frame.select(pl.concat_str(texts, separator="\x1f")).to_series()
    hashes = pl.Series([stable_hash(text) for text in identities], dtype=pl.Int64)
    boundary = boundary_by_hash(hashes.filter(unseen).to_list(), seen_until is not None, rules)
    if boundary.at is None:
        return Split(boundary, frame, frame.clear())
    held_out = unseen & (hashes <= int(boundary.at))
    return Split(boundary, frame.filter(~held_out), frame.filter(held_out))


def seen_range(frame: pl.DataFrame, spec: ModelSpec) -> tuple[str, str]:
    """The oldest and newest time (batch, where the model has no time) of these rows."""
    if spec.data.time is not None:
        times = frame[spec.data.time]
        return times.min().isoformat(), times.max().isoformat()  # type: ignore[union-attr]
    return str(frame[BATCH].min()), str(frame[BATCH].max())


def unseen_by(frame: pl.DataFrame, spec: ModelSpec, seen_until: str) -> pl.DataFrame:
    """Those of the rows that a model which has seen all up to `seen_until` has not."""
    if spec.data.time is not None:
        seconds = frame[spec.data.time].to_physical() / _MICROS
        return frame.filter(seconds > _second(seen_until))
    return frame.filter(pl.col(BATCH) > int(seen_until))


def _second(moment: str) -> float:
    return dt.datetime.fromisoformat(moment).timestamp()
