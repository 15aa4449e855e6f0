"""The lake on S3: the same promises, against a server of its own process.

The Delta library holds the interpreter's lock while it waits for some answers, so a server in a
thread of this process could never give them.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import polars as pl
import pytest

from include.evergreen.adapters.lake import Lake
from include.evergreen.errors import NotInLake
from include.evergreen.settings import load


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture
def lake(endpoint: str, tmp_path: Path) -> Lake:
    boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name="us-east-1",
    ).create_bucket(Bucket="rides")
    return Lake(
        load(
            {
                "EVERGREEN_HOME": str(tmp_path),
                "EVERGREEN_LAKE_URI": "s3://rides/lake",
                "EVERGREEN_S3_ENDPOINT_URL": endpoint,
                "EVERGREEN_S3_ACCESS_KEY": "testing",
                "EVERGREEN_S3_SECRET_KEY": "testing",
                "EVERGREEN_S3_REGION": "us-east-1",
            }
        )
    )


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
