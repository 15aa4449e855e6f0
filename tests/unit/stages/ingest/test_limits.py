"""Each limit of data.limits is enforced for every format: at the limit taken, one beyond not."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from include.evergreen.spec import FileLimits

EVERY_FORMAT = pytest.mark.parametrize("data_format", ["csv", "jsonl", "parquet"])


def content(data_format: str, rows: int = 20, extra: int = 0, key: str = "k") -> bytes:
    values: dict[str, Any] = {"size": 1.5, "count": 3, "color": "red", "flag": True, "y": 0.5}
    more = {f"x{number}": number for number in range(extra)}
    frame = pl.DataFrame([{"k": f"{key}{row}"} | values | more for row in range(rows)])
    out = io.BytesIO()
    write = {
        "csv": frame.write_csv,
        "jsonl": frame.write_ndjson,
        "parquet": frame.write_parquet,
    }
    write[data_format](out)
    return out.getvalue()


def rule_at(zone, data_format: str, limit: str, most: int, file: bytes) -> str:
    zone.contract(format=data_format, time=None, limits={limit: most})
    zone.land(f"a.{data_format}", file)
    outcome = zone.only()
    return outcome.rule or outcome.state


@EVERY_FORMAT
@pytest.mark.parametrize("more", [0, 1])
def test_rows(zone, data_format, more):
    seen = rule_at(zone, data_format, "max_rows", 20, content(data_format, rows=20 + more))
    assert seen == ("too_many_rows" if more else "appended")


@EVERY_FORMAT
@pytest.mark.parametrize("more", [0, 1])
def test_columns_those_that_are_kept_out_included(zone, data_format, more):
    seen = rule_at(zone, data_format, "max_columns", 16, content(data_format, extra=10 + more))
    assert seen == ("too_many_columns" if more else "appended")


@EVERY_FORMAT
@pytest.mark.parametrize("more", [0, 1])
def test_bytes(zone, data_format, more):
    # Parquet says how large its columns are once unpacked; that is below the size of the file.
    file = content(data_format)
    seen = rule_at(zone, data_format, "max_bytes", len(file) - more, file)
    assert seen == ("too_large" if more else "appended")


@EVERY_FORMAT
def test_a_text_that_is_too_long_is_a_bad_row(zone, data_format):
    zone.contract(limits={"max_quarantined_share": 1.0})
    file = content(data_format, rows=11, key="k" * 7)
    assert rule_at(zone, data_format, "max_text_length", 8, file) == "appended"
    assert zone.bad == [(11, "k", "length")], "k7 and one digit are 8 characters, two are 9"
    record = zone.table("quarantine").row(0, named=True)
    assert record["_reason"] == "k is longer than 8 characters"


@pytest.mark.parametrize(
    "limit",
    [
        "max_bytes",
        "max_rows",
        "max_columns",
        "max_text_length",
        "max_categories",
    ],
)
@pytest.mark.parametrize("wrong", [0, -1, 2**41])
def test_a_limit_that_is_none_is_refused(limit, wrong):
    with pytest.raises(ValidationError, match=limit):
        FileLimits(**{limit: wrong})
