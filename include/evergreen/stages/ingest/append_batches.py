"""Splits the batches of one file and commits good and bad rows, each once, or nothing of them.

Nothing is visible before the whole file was read and judged. Bad rows are committed first: where a
run dies in between, the next one finds them there and commits the good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import polars as pl

from include.evergreen.adapters.lake import Append
from include.evergreen.contracts import FileOutcome
from include.evergreen.errors import FileRefused
from include.evergreen.policy.quarantine import FileBounds, FileVerdict, judge_file
from include.evergreen.stages.ingest.describe_rows import SCHEMA, describe_lines
from include.evergreen.stages.ingest.known_rows import KnownRows
from include.evergreen.stages.ingest.quarantine_table import Origin, file_record, records
from include.evergreen.stages.ingest.raw_batch import LINE, ROW_NUMBER, RawBatch
from include.evergreen.stages.ingest.row_contract import RowContract
from include.evergreen.stages.ingest.tally import Tally
from include.evergreen.stages.resources import Resources

TAKE = FileVerdict("append")


@dataclass(frozen=True)
class Taken:
    """What became of a file, and the version of the rows table after it."""

    outcome: FileOutcome
    data_version: int


@dataclass
class _Counts:
    good: int = 0
    bad: int = 0


def append_file(
    resources: Resources, contract: RowContract, origin: Origin, batches: Iterator[RawBatch]
) -> Taken:
    """Append the good rows of a file that was read from the landing zone, if it passes as a whole.

    Raises:
        FileRefused: the file as a whole goes to quarantine; nothing was committed.
    """
    bounds = _bounds(resources, contract)
    tally, counts = Tally(bounds.max_categories), _Counts()
    with (
        _appending(resources, "quarantine", origin) as bad,
        _appending(resources, origin.kind, origin) as good,
    ):
        again = good.committed is not None
        known = _known_rows(resources, origin, again=again)
        for batch in batches:
            split = contract.split(batch.frame)
            tally.add(_values_only(batch.frame), split, len(batch.bad_lines))
            if tally.is_hopeless:
                break
            new = known.drop(split.good)
            good.write(_stamped(resources, origin, new))
            _write_bad(bad, origin, split.bad, batch)
            counts.good += new.height
            counts.bad += split.bad.height + len(batch.bad_lines)
        optional = {column.name for column in contract.columns if column.optional}
        verdict = judge_file(tally.result(optional), bounds)
        if verdict.state == "quarantine":
            raise FileRefused(verdict.rule, verdict.reason)
        if verdict.state == "stop":
            bad.write(file_record(origin, verdict.rule, verdict.reason))
            bad.commit()
            return _taken(resources, origin, "stopped", verdict, bad=counts.bad)
        bad.commit()
        version = good.commit()
    rows = rows_at(resources, origin, version) if again else counts.good
    if not rows:
        verdict = FileVerdict("append", reason="The lake has all its rows already.")
    return _taken(resources, origin, "appended", verdict, rows, counts.bad, version)


def append_replayed(
    resources: Resources,
    contract: RowContract,
    origin: Origin,
    batches: Iterator[RawBatch],
    kept: Callable[[RawBatch], pl.DataFrame],
) -> Taken:
    """Append what passes now of rows that were quarantined, and record that for each of them.

    Args:
        resources: of the model.
        contract: as it is now.
        origin: the file they came from, under the contract as it is now.
        batches: the rows as they stood in the file.
        kept: records of those that cannot be read again.
    """
    counts = _Counts()
    with (
        _appending(resources, "quarantine", origin) as bad,
        _appending(resources, origin.kind, origin) as good,
    ):
        again = good.committed is not None
        known = _known_rows(resources, origin, again=again)
        for batch in batches:
            split = contract.split(batch.frame)
            new = known.drop(split.good)
            good.write(_stamped(resources, origin, new))
            bad.write(records(origin, split.bad))
            bad.write(kept(batch))
            bad.write(taken_in(origin, split.good[ROW_NUMBER]))
            counts.good += new.height
            counts.bad += split.bad.height + len(batch.bad_lines)
        version = good.commit()
        bad.commit()
    rows = rows_at(resources, origin, version) if again else counts.good
    return _taken(resources, origin, "appended", TAKE, rows, counts.bad, version)


def put_aside(resources: Resources, origin: Origin, refusal: FileRefused) -> Taken:
    """Record that a file as a whole was refused, and why."""
    record = file_record(origin, refusal.rule, str(refusal))
    resources.lake.append_rows(
        resources.model, "quarantine", [record], transaction=origin.transaction
    )
    verdict = FileVerdict("quarantine", refusal.rule, str(refusal))
    return _taken(resources, origin, "quarantined", verdict)


def taken_in(origin: Origin, numbers: pl.Series) -> pl.DataFrame:
    """Records that say of quarantined rows that they are in the lake now."""
    rows = pl.DataFrame({"row_number": numbers}).with_columns(
        pl.lit(None, kind).alias(name) for name, kind in SCHEMA.items() if name != "row_number"
    )
    return records(origin, rows, "taken_in")


def rows_at(resources: Resources, origin: Origin, version: int) -> int:
    """How many rows the commit of this version brought."""
    table = resources.lake.scan(resources.model, origin.kind)
    return int(table.filter(pl.col("_batch") == version).select(pl.len()).collect().item())


def _appending(
    resources: Resources, table: Literal["rows", "labels", "quarantine"], origin: Origin
) -> Append:
    return resources.lake.appending(resources.model, table, transaction=origin.transaction)


def _bounds(resources: Resources, contract: RowContract) -> FileBounds:
    limits = resources.spec.data.limits
    return FileBounds(
        max_quarantined_share=limits.max_quarantined_share,
        max_duplicate_share=limits.max_duplicate_share,
        max_categories=limits.max_categories,
        null_shares=contract.null_shares,
    )


def _known_rows(resources: Resources, origin: Origin, *, again: bool) -> KnownRows:
    """What the lake has of the file. `again`: this very append was committed, then the run died."""
    lake, table = resources.lake, None
    if not again and lake.version(resources.model, origin.kind) is not None:
        table = lake.scan(resources.model, origin.kind)
    # A label that comes again is a correction; a row that comes again is the same row.
    return KnownRows(table, origin.digest, origin.uri, by_address=origin.kind == "rows")


def _values_only(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop(ROW_NUMBER, LINE, strict=False)


def _write_bad(append: Append, origin: Origin, bad: pl.DataFrame, batch: RawBatch) -> None:
    append.write(records(origin, bad))
    if batch.bad_lines:
        append.write(records(origin, describe_lines(batch.bad_lines)))


def _stamped(resources: Resources, origin: Origin, good: pl.DataFrame) -> pl.DataFrame:
    """Rows with their origin. Labels carry the key under the name it has in the rows, too."""
    data = resources.spec.data
    if origin.kind == "labels" and data.labels and data.key and data.labels.key != data.key:
        good = good.with_columns(pl.col(data.labels.key).alias(data.key))
    return good.with_columns(
        pl.lit(origin.digest).alias("_file_digest"),
        pl.lit(origin.uri).alias("_file_uri"),
        pl.lit(origin.at, pl.Datetime("us", "UTC")).alias("_ingested_at"),
    )


def _taken(
    resources: Resources,
    origin: Origin,
    state: Literal["appended", "quarantined", "stopped"],
    verdict: FileVerdict,
    good: int = 0,
    bad: int = 0,
    version: int | None = None,
) -> Taken:
    outcome = FileOutcome(
        uri=origin.uri,
        digest=origin.digest,
        state=state,
        rows_appended=good,
        rows_quarantined=bad,
        rule=verdict.rule,
        reason=verdict.reason,
        kind=origin.kind,
    )
    if version is None or origin.kind == "labels":
        version = resources.lake.version(resources.model, "rows") or 0
    return Taken(outcome, version)
