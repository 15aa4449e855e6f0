"""What the readers promise for any bytes, checked from outside: `take` raises if it is broken.

Either the file is refused with one of our errors, in words that can be stored anywhere, or every
row of it comes out once: as one that keeps the contract, or set aside with its reason.
"""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from include.evergreen.errors import FileRefused
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.ingest.describe_rows import describe_lines
from include.evergreen.stages.ingest.parse_files import parse_file
from include.evergreen.stages.ingest.row_contract import RowContract

FORMATS = ("csv", "jsonl", "parquet")
MAX_BYTES, MAX_ROWS, MAX_COLUMNS, MAX_TEXT = 200_000, 300, 40, 64
LARGEST_FLOAT32 = 3.4028234663852886e38
COLUMNS: dict[str, dict[str, Any]] = {
    "size": {"type": "float", "min": 0, "max": 100, "max_null_share": 0.5},
    "count": {"type": "integer"},
    "color": {"type": "category", "values": ["red", "blue"]},
    "shape": {"type": "category", "max_null_share": 1.0},
    "step": {"type": "category", "values": [1, 2, 3], "unseen": "as_missing"},
    "flag": {"type": "boolean"},
    "seen": {"type": "timestamp", "max_null_share": 1.0},
    "y": {"type": "float"},
}
NAMES = ["when", "k", *COLUMNS]


@dataclass
class Taken:
    """What came of a file. `good` are rows with their number under `_row_number`."""

    refused: str = ""
    good: list[dict[str, Any]] = field(default_factory=list)
    bad: list[dict[str, Any]] = field(default_factory=list)


@cache
def contract(data_format: str) -> tuple[ModelSpec, RowContract]:
    spec = ModelSpec.model_validate(
        {
            "model": "fuzzed",
            "task": "regression",
            "data": {
                "landing": "landing",
                "format": data_format,
                "time": "when",
                "key": "k",
                "target": "y",
                "time_zone": "Europe/Berlin",
                "columns": COLUMNS,
                "limits": {
                    "max_bytes": MAX_BYTES,
                    "max_rows": MAX_ROWS,
                    "max_columns": MAX_COLUMNS,
                    "max_text_length": MAX_TEXT,
                },
            },
            "training": {"metric": "rmse"},
        }
    )
    return spec, RowContract(spec)


def take(content: bytes, data_format: str) -> Taken:
    """Read a file of these bytes as ingest does, and hold what comes out against the promise.

    Raises:
        AssertionError: the promise is broken. Anything else that is raised breaks it, too.
    """
    taken = Taken()
    with tempfile.TemporaryDirectory(prefix="evergreen-fuzz-") as work:
        path = Path(work, "landed")
        path.write_bytes(content)
        try:
            _read(path, data_format, taken)
        except FileRefused as refusal:
            taken.refused = refusal.rule
            _check_words(refusal)
            return taken
    _check_numbers(taken, content, data_format)
    for row in taken.good:
        check_row(row)
    for row in taken.bad:
        assert row["rule"], row
        assert row["reason"], row
        assert row["row"] is not None, row
    return taken


def _read(path: Path, data_format: str, taken: Taken) -> None:
    spec, rows = contract(data_format)
    limits, uri = spec.data.limits, f"file:///landing/fuzzed.{data_format}"
    parsed = parse_file(path, uri=uri, data_format=data_format, wanted=rows.names, limits=limits)
    rows.check_header(uri, parsed.columns)
    assert len(parsed.columns) <= MAX_COLUMNS
    for batch in parsed.batches:
        split = rows.split(batch.frame)
        taken.good += split.good.to_dicts()
        for bad in (split.bad, describe_lines(batch.bad_lines)):
            taken.bad += bad.to_dicts()
            assert pl.DataFrame(bad.to_dicts(), schema=bad.schema).equals(bad), "text that is none"
        assert len(taken.good) + len(taken.bad) <= MAX_ROWS
    assert (
        sum(p.stat().st_size for p in path.parent.iterdir()) <= 2 * MAX_BYTES + path.stat().st_size
    )


def _check_words(refusal: FileRefused) -> None:
    words = str(refusal)
    assert refusal.rule != "unexpected", f"the net caught what no reader knows of: {words}"
    assert refusal.rule.isidentifier(), refusal.rule
    assert words.isprintable(), f"control characters or half characters in {words!r}"
    assert 0 < len(words) < 3000, len(words)


def _check_numbers(taken: Taken, content: bytes, data_format: str) -> None:
    numbers = sorted(
        [row["_row_number"] for row in taken.good] + [row["row_number"] for row in taken.bad]
    )
    if data_format == "jsonl":
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        expected = [number for number, line in enumerate(lines, start=1) if line.strip()]
        if content[:2] == b"\x1f\x8b":
            return
    else:
        expected = list(range(1, len(numbers) + 1))
    assert numbers == expected, f"rows {numbers[:20]}, not {expected[:20]}"


def check_row(row: dict[str, Any]) -> None:
    """A good row keeps the contract: looked at value by value, without any of its code."""
    assert isinstance(row["k"], str) and 0 < len(row["k"]) <= MAX_TEXT, row  # noqa: PT018
    assert isinstance(row["when"], dt.datetime) and 1900 <= row["when"].year <= 2199, row  # noqa: PT018
    assert row["seen"] is None or 1900 <= row["seen"].year <= 2199, row
    assert row["size"] is None or 0 <= row["size"] <= 100, row
    assert type(row["count"]) is int, row
    assert row["color"] in ("red", "blue"), row
    assert row["shape"] is None or len(row["shape"]) <= MAX_TEXT, row
    assert row["step"] is None or type(row["step"]) is int, row
    assert type(row["flag"]) is bool, row
    assert math.isfinite(row["y"]) and abs(row["y"]) <= LARGEST_FLOAT32, row  # noqa: PT018
