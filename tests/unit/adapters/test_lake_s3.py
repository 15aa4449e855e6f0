"""The lake on S3: the same promises, against a server of its own process.

The Delta library holds the interpreter's lock while it waits for some answers, so a server in a
thread of this process could never give them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import polars as pl
import pytest

from include.evergreen.adapters.lake import Lake, storage
from include.evergreen.errors import NotInLake
from include.evergreen.settings import load
from tests.chaos.storm.proxy import ProxyProcess
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


def test_a_store_that_falls_silent_is_asked_again(endpoint: str, tmp_path: Path, monkeypatch):
    """What is said into a connection whose other side is gone is never answered."""
    monkeypatch.setattr(storage, "_REQUEST_S", 2)
    with ProxyProcess() as proxy:
        proxy.aim(urlsplit(endpoint).port or 0)
        home = {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_LAKE_URI": "s3://silent/lake"}
        lake = Lake(load(home | s3_environment(proxy.url)))
        s3_client(endpoint).create_bucket(Bucket="silent")
        frame = pl.DataFrame({"x": [1.0, 2.0]})
        lake.put_part("m", "k", "train", frame)
        lake.append_rows("m", "rows", [frame], transaction="a")
        rows = lake.scan("m", "rows").select(pl.len())
        for again in (
            lambda: lake.get_part("m", "k", "train").equals(frame),
            lambda: rows.collect().item() == 2,
            lambda: lake.put_part("m", "k", "holdout", frame) is None,
        ):
            answers: list[bool] = []
            asked = Thread(target=lambda: answers.append(again()), daemon=True)  # noqa: B023
            proxy.become("blackhole")
            asked.start()
            time.sleep(1)
            proxy.become("pass")  # who is connected stays mute for good
            asked.join(30)
            assert answers == [True]
