"""An S3 prefix is read as it was listed; what is denied, gone or down is told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from include.evergreen.adapters.landing import Landing, open_landing
from include.evergreen.errors import FileChanged, FileUnreadable, Unavailable
from include.evergreen.settings import Settings, load


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def installation(endpoint: str, tmp_path: Path) -> Settings:
    return load(
        {
            "EVERGREEN_HOME": str(tmp_path),
            "EVERGREEN_S3_ENDPOINT_URL": endpoint,
            "EVERGREEN_S3_ACCESS_KEY": "testing",
            "EVERGREEN_S3_SECRET_KEY": "testing",
            "EVERGREEN_S3_REGION": "us-east-1",
        }
    )


@pytest.fixture
def bucket(endpoint: str) -> Iterator[Any]:
    s3 = boto3.resource(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name="us-east-1",
    )
    made = s3.create_bucket(Bucket="rides")
    yield made
    made.object_versions.delete()
    made.objects.delete()
    made.delete()


@pytest.fixture
def landing(bucket: Any, installation: Settings) -> Landing:
    return open_landing("s3://rides/in/", installation)


def test_objects_under_the_prefix_are_listed_and_copied(
    bucket: Any, landing: Landing, tmp_path: Path
):
    for key in ("in/a.csv", "in/folder/", "in/_SUCCESS", "in/b.csv.part", "inner/c.csv"):
        bucket.put_object(Key=key, Body=b"x\n1\n")
    (file,) = landing.list()
    assert file.uri == "s3://rides/in/a.csv"
    assert file.size_bytes == 4
    assert landing.download(file, tmp_path / "copy") == hashlib.sha256(b"x\n1\n").hexdigest()
    assert (tmp_path / "copy").read_bytes() == b"x\n1\n"


# A newline in a key is real, too, but moto's server has no route for one.
@pytest.mark.parametrize("key", ["in/../../etc/passwd.csv", "in/a b;$(date).csv", "in/ä%2F.csv"])
def test_a_strange_key_is_data(bucket: Any, landing: Landing, tmp_path: Path, key: str):
    bucket.put_object(Key=key, Body=b"x")
    (file,) = landing.list()
    assert file.uri.isascii()
    assert "\n" not in file.uri
    assert landing.download(file, tmp_path / "copy") == hashlib.sha256(b"x").hexdigest()


def test_an_object_replaced_or_deleted_since_it_was_listed_is_left_alone(
    bucket: Any, landing: Landing, tmp_path: Path
):
    bucket.put_object(Key="in/a.csv", Body=b"x")
    (file,) = landing.list()
    bucket.put_object(Key="in/a.csv", Body=b"y")
    with pytest.raises(FileChanged, match="replaced or deleted since it was listed"):
        landing.download(file, tmp_path / "copy")
    bucket.Object("in/a.csv").delete()
    with pytest.raises(FileChanged):
        landing.download(file, tmp_path / "copy")


def test_a_deleted_object_of_a_versioned_bucket_is_not_listed(bucket: Any, landing: Landing):
    bucket.Versioning().enable()
    bucket.put_object(Key="in/a.csv", Body=b"x")
    bucket.Object("in/a.csv").delete()
    assert landing.list() == []


def test_a_bucket_that_is_not_there_is_unreadable(installation: Settings, bucket: Any):
    with pytest.raises(FileUnreadable, match=r"NoSuchBucket.*evergreen_s3"):
        open_landing("s3://nowhere/in/", installation).list()


def test_access_denied_is_unreadable_and_a_server_error_is_retried(
    bucket: Any, landing: Landing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    bucket.put_object(Key="in/a.csv", Body=b"x")
    (file,) = landing.list()
    for code, expected in (("AccessDenied", FileUnreadable), ("InternalError", Unavailable)):

        def answer(*_: Any, code: str = code, **__: Any) -> None:
            raise ClientError({"Error": {"Code": code}}, "GetObject")

        monkeypatch.setattr(landing._client, "get_object", answer)
        with pytest.raises(expected, match=code):
            landing.download(file, tmp_path / "copy")


def test_an_endpoint_that_is_down_is_unavailable(tmp_path: Path):
    down = load(
        {
            "EVERGREEN_HOME": str(tmp_path),
            "EVERGREEN_S3_ENDPOINT_URL": "http://127.0.0.1:9",
            "EVERGREEN_S3_ACCESS_KEY": "a",
            "EVERGREEN_S3_SECRET_KEY": "b",
        }
    )
    with pytest.raises(Unavailable, match="cannot be read now"):
        open_landing("s3://rides/in/", down).list()
