"""The lake on S3: the same promises, against a server of its own process.

The Delta library holds the interpreter's lock while it waits for some answers, so a server in a
thread of this process could never give them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from include.evergreen.adapters.lake import Lake
from include.evergreen.errors import NotInLake
from include.evergreen.settings import load
from tests.s3_server import s3_client, s3_environment, s3_server


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def lake(endpoint: str, tmp_path: Path) -> Lake:
    s3_client(endpoint).create_bucket(Bucket="rides")
    home = {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_LAKE_URI": "s3://rides/lake"}
    return Lake(load(home | s3_environment(endpoint)))


def test_the_lake_lives_on_s3_too(lake: Lake):
    frame = pl.DataFrame({"x": [1.0, 2.0]})
    assert lake.version("m", "rows") is None
    first = lake.append_rows("m", "rows", [frame], transaction="a")
    lake.append_rows("m", "rows", [frame.with_columns(y=pl.lit("b"))], transaction="b")
    assert lake.append_rows("m", "rows", [frame], transaction="a") == first
    assert lake.scan("m", "rows").select(pl.len()).collect().item() == 4
    lake.put_part("m", "k", "train", frame)
    assert lake.get_part("m", "k", "train").equals(frame)
    with pytest.raises(NotInLake):
        lake.get_part("m", "k", "holdout")
