"""Takes quarantined rows and files back in, each once, after the contract was mended.

What was quarantined under the contract as it is now stays where it is: the same rules say the same.
A row is read again from its record, a file as a whole from the landing zone, where it still lies. A
file that a newer one of the same name has replaced is left alone.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from include.evergreen.contracts import FileOutcome, LandedFile
from include.evergreen.errors import FileChanged
from include.evergreen.stages.ingest.append_batches import Taken, append_replayed, taken_in
from include.evergreen.stages.ingest.describe_rows import SCHEMA
from include.evergreen.stages.ingest.parse_jsonl import row_of
from include.evergreen.stages.ingest.quarantine_table import Origin, Status, file_record, records
from include.evergreen.stages.ingest.raw_batch import ROW_NUMBER, BadLine, RawBatch
from include.evergreen.stages.ingest.take_file import Intake

log = logging.getLogger(__name__)

_ROW = ("_kind", "_file_digest", "_row_number")
_BATCH_ROWS = 20_000


def replay(intake: Intake) -> list[FileOutcome]:
    """Replay all that is open under an earlier contract; the outcome of each file touched."""
    resources = intake.resources
    if resources.lake.version(resources.model, "quarantine") is None:
        log.info("The quarantine of %s is empty", resources.model)
        return []
    waiting = (
        _open_records(intake)
        .filter(pl.col("_contract_digest") != intake.contract_digest)
        .select(*_ROW, "_file_uri")
        .collect(engine="streaming")
    )
    whole = waiting.filter(pl.col("_row_number").is_null())
    rows = waiting.filter(pl.col("_row_number").is_not_null())
    rows = rows.join(whole, on="_file_digest", how="anti")
    replaced = _replaced(intake, rows)
    outcomes = [_replay_file(intake, record) for record in whole.iter_rows(named=True)]
    for kind, digest, uri in (
        rows.select("_kind", "_file_digest", "_file_uri").unique(maintain_order=True).iter_rows()
    ):
        origin = Origin(uri, digest, kind, intake.contract_digest, intake.now)
        outcomes.append(_replay_rows(intake, origin, replaced=digest in replaced))
    return [outcome for outcome in outcomes if outcome is not None]


def _open_records(intake: Intake, digest: str | None = None) -> pl.LazyFrame:
    """The newest record of each row and file (all, or of one file), where it still waits."""
    table = intake.resources.lake.scan(intake.resources.model, "quarantine")
    if digest is not None:
        table = table.filter(pl.col("_file_digest") == digest)
    newest = table.sort("_batch").unique(subset=_ROW, keep="last", maintain_order=True)
    return newest.filter(pl.col("_status") == "open")


def _replaced(intake: Intake, rows: pl.DataFrame) -> set[str]:
    """The digests of files in whose place another content was taken in since."""
    lake, model = intake.resources.lake, intake.resources.model
    if rows.is_empty() or lake.version(model, "rows") is None:
        return set()
    newest = (
        lake.scan(model, "rows")
        .filter(pl.col("_file_uri").is_in(rows["_file_uri"].unique().implode()))
        .group_by("_file_uri")
        .agg(pl.col("_file_digest").sort_by("_batch").last().alias("newest"))
        .collect(engine="streaming")
    )
    known = rows.filter(pl.col("_kind") == "rows").join(newest, on="_file_uri")
    return set(known.filter(pl.col("newest") != pl.col("_file_digest"))["_file_digest"])


def _replay_file(intake: Intake, record: Mapping[str, str]) -> FileOutcome | None:
    """Read a file again from the landing zone, if it still lies there."""
    file = _landed(intake, record["_file_uri"], record["_kind"])
    if file is None:
        log.warning("%s is not in the landing zone any more; drop it there again",
                    record["_file_uri"])  # fmt: skip
        return None
    try:
        outcome = intake.take(file)
    except FileChanged as error:
        log.info("%s", error)
        return None
    if outcome is None or outcome.state in ("quarantined", "stopped"):
        return outcome
    status: Status = "taken_in" if outcome.digest == record["_file_digest"] else "superseded"
    origin = Origin(file.uri, record["_file_digest"], file.kind, intake.contract_digest, intake.now)
    resources = intake.resources
    settled = [file_record(origin, "", outcome.reason, status), *_rows_in_lake(intake, origin)]
    resources.lake.append_rows(
        resources.model, "quarantine", settled, transaction=f"{status}:{origin.transaction}"
    )
    return outcome


def _landed(intake: Intake, uri: str, kind: str) -> LandedFile | None:
    resources = intake.resources
    landing = resources.label_landing if kind == "labels" else resources.landing
    found = next((f for f in landing.list() if f.uri == uri), None) if landing else None
    return dataclasses.replace(found, kind=kind) if found else None  # type: ignore[arg-type]


def _rows_in_lake(intake: Intake, origin: Origin) -> Iterator[pl.DataFrame]:
    """Records for the rows of a file that were evidence against it, and are in the lake now."""
    lake, model = intake.resources.lake, intake.resources.model
    evidence = _open_records(intake, origin.digest).filter(pl.col("_row_number").is_not_null())
    present = lake.scan(model, origin.kind).filter(pl.col("_file_digest") == origin.digest)
    both = evidence.join(present, left_on="_row_number", right_on=ROW_NUMBER, how="semi")
    yield taken_in(origin, both.select("_row_number").collect(engine="streaming").to_series())


def _replay_rows(intake: Intake, origin: Origin, *, replaced: bool) -> FileOutcome | None:
    resources = intake.resources
    here = _open_records(intake, origin.digest).filter(pl.col("_row_number").is_not_null())
    if replaced:
        closed = here.with_columns(pl.lit("superseded").alias("_status"))
        resources.lake.append_rows(
            resources.model,
            "quarantine",
            closed.collect_batches(),
            transaction=f"superseded:{origin.transaction}",
        )
        log.info("%s: a newer file of this name was taken in; its rows are closed", origin.uri)
        return None
    contract = intake.contracts[origin.kind]
    rows = here.sort("_row_number").collect_batches(chunk_size=_BATCH_ROWS)

    def work() -> Taken:
        reader = _Reread(origin, contract.names)
        return append_replayed(
            resources, contract, origin, map(reader.batch, rows), reader.still_unreadable
        )

    return intake.once(origin, work)


class _Reread:
    """Turns records back into raw rows; what was no row then is none now, and stays open."""

    def __init__(self, origin: Origin, wanted: Sequence[str]) -> None:
        self._origin = origin
        self._wanted = wanted
        self._unreadable = pl.DataFrame(schema=SCHEMA)

    def batch(self, recorded: pl.DataFrame) -> RawBatch:
        numbers, rows, bad = [], [], []
        for number, text in recorded.select("_row_number", "_row").iter_rows():
            row = row_of(number, text or "", self._wanted)
            if isinstance(row, BadLine):
                bad.append(row)
            else:
                numbers.append(number)
                rows.append(row)
        again = [line.row_number for line in bad]
        self._unreadable = recorded.filter(pl.col("_row_number").is_in(again)).select(
            pl.col(f"_{name}").alias(name) for name in SCHEMA
        )
        columns = {n: pl.Series(n, [r[n] for r in rows], pl.String) for n in self._wanted}
        numbered = {ROW_NUMBER: pl.Series(ROW_NUMBER, numbers, pl.Int64)}
        return RawBatch(pl.DataFrame(columns | numbered), bad)

    def still_unreadable(self, _: RawBatch) -> pl.DataFrame:
        """The records of the last batch's bad lines, under the contract as it is now."""
        return records(self._origin, self._unreadable)
