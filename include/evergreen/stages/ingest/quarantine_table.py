"""What is put aside, row by row and file by file, with the reason and the row as it stood.

`_status`: `open` waits to be mended and replayed; `taken_in` says that a later replay took the row
or the file; `superseded` that a newer file of the same name did. A row's newest record (by
`_batch`) is the one that counts. A record without `_row_number` is about the whole file, and goes
before those about its rows.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import polars as pl

from include.evergreen.stages.ingest.describe_rows import SCHEMA

Status = Literal["open", "taken_in", "superseded"]


@dataclass(frozen=True)
class Origin:
    """Where records come from: one file, under one contract, at one time."""

    uri: str
    digest: str
    kind: Literal["rows", "labels"]
    contract_digest: str
    at: dt.datetime

    @property
    def transaction(self) -> str:
        return f"{self.kind}:{self.digest}:{self.contract_digest}"


def records(origin: Origin, bad: pl.DataFrame, status: Status = "open") -> pl.DataFrame:
    """Rows of the quarantine table for some bad rows of a file (see `describe_rows`)."""
    return bad.select(
        pl.lit(origin.uri).alias("_file_uri"),
        pl.lit(origin.digest).alias("_file_digest"),
        pl.lit(origin.kind).alias("_kind"),
        *(pl.col(name).alias(f"_{name}") for name in SCHEMA),
        pl.lit(origin.contract_digest).alias("_contract_digest"),
        pl.lit(status).alias("_status"),
        pl.lit(origin.at, pl.Datetime("us", "UTC")).alias("_at"),
    )


def file_record(origin: Origin, rule: str, reason: str, status: Status = "open") -> pl.DataFrame:
    """The one record about a file as a whole."""
    whole = pl.DataFrame(
        {"rule": [rule], "reason": [reason]}, schema_overrides={"rule": pl.String}
    ).with_columns(
        pl.lit(None, kind).alias(name)
        for name, kind in SCHEMA.items()
        if name not in {"rule", "reason"}
    )
    return records(origin, whole.select(*SCHEMA), status)
