"""Bad files 23 and 25 to 27: what a landing zone does, not what is in a file."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from include.evergreen.errors import FileStillGrowing, FileUnreadable
from include.evergreen.settings import load
from include.evergreen.spec import load_spec
from include.evergreen.stages.ingest import ingest
from include.evergreen.stages.resources import Resources
from tests.s3_server import REGION, s3_client, s3_environment, s3_server

from .conftest import HEADER, LATER, Zone

#: Root who runs what comes after this may do no more with a file than its owner may.
AS_OWNER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def apart(zone: Zone, root: Path, small: str) -> dict[str, Any]:
    """Ingest in a process of its own, without root's right to read and write every file.

    It stays the user whose checkout this is, which may lie where nobody else comes.
    """
    (zone.home / "small").write_text(small)
    _ = zone.resources  # writes the spec
    rights = AS_OWNER if os.geteuid() == 0 else ()
    ran = subprocess.run(
        [*rights, sys.executable, "-m", "tests.unit.stages.ingest.measured", str(zone.home)],
        cwd=root, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    return json.loads(ran.stdout.splitlines()[-1])


def test_25_no_permission_fails_without_retry_and_the_others_are_taken(
    zone, make_row, project_root
):
    zone.land("locked.csv", [make_row("l")]).chmod(0)
    zone.land("zz_good.csv", [make_row("g")])
    seen = apart(zone, project_root, f"{HEADER}\n{make_row('s')}\n")
    assert {name: state for name, (state, *_) in seen["files"].items()} == {
        "zz_good.csv": "appended"
    }
    assert seen["told"].startswith("FileUnreadable, retryable False: 1 files of demo need somebody")
    assert "locked.csv may not be read: Permission denied." in seen["told"]
    (zone.directory / "locked.csv").chmod(0o666)
    assert zone.ingest("mended").rows_appended == 1, "it was not acknowledged"


def test_25_a_folder_that_may_not_be_listed_is_quarantined_by_its_name(
    zone, make_row, project_root
):
    zone.land("zz_good.csv", [make_row("g")])
    (zone.directory / "locked").mkdir(mode=0)
    seen = apart(zone, project_root, f"{HEADER}\n{make_row('s')}\n")
    assert {name: rule for name, (_, rule, _) in seen["files"].items()} == {
        "zz_good.csv": "",
        "locked": "unreadable_directory",
    }


def test_23_a_fifo_a_socket_and_a_device_are_never_opened(zone, make_row):
    """An open of the FIFO would wait for a writer for ever; of the device, never end."""
    os.mkfifo(zone.directory / "fifo.csv")
    rules = {"fifo"}
    if os.geteuid() == 0:
        os.mknod(zone.directory / "zero.csv", 0o020666, os.makedev(1, 5))
        rules.add("device")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(zone.directory, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/s.csv")
        os.close(here)
        zone.land("zz_good.csv", [make_row("g")])
        report = zone.ingest()
    assert {f.rule for f in report.files if f.state == "quarantined"} == rules | {"socket"}
    assert zone.keys == ["g"]
    assert zone.ingest().files == ()


def test_26_a_file_that_grows_is_waited_for_and_then_reported(zone, make_row):
    zone.contract(limits={"settle_s": 2, "settle_timeout_s": 6})
    path = zone.land("a.csv", [make_row("a")])

    def grow(_: float) -> None:
        with path.open("a") as file:
            file.write(make_row("b") + "\n")

    now = dt.datetime.now(dt.UTC)
    with pytest.raises(FileStillGrowing, match=r"1 files are still growing after 6 s.*a\.csv"):
        ingest.discover_files(zone.resources, now=now - dt.timedelta(hours=1), sleep=grow)
    assert zone.keys == []
    assert zone.ingest().rows_appended == 4, "nothing of it is lost"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str) -> Iterator[Any]:
    """The client of an empty bucket, and its address as a landing zone."""
    _moto(endpoint, "reset")
    client = s3_client(endpoint)
    client.create_bucket(Bucket="rides")
    yield client
    _moto(endpoint, "reset-auth", b"inf")
    _moto(endpoint, "reset")


def _moto(endpoint: str, what: str, body: bytes = b"") -> None:
    address = f"{endpoint}/moto-api/{what}"
    plain = {"Content-Type": "text/plain"}
    request = urllib.request.Request(address, data=body, method="POST", headers=plain)
    urllib.request.urlopen(request, timeout=30).close()


def on_s3(zone: Zone, endpoint: str, **changed: str) -> Resources:
    zone.contract(landing="s3://rides/in/")
    _ = zone.resources
    access = s3_environment(endpoint) | changed
    settings = load({"EVERGREEN_HOME": str(zone.home), **access})
    return Resources(load_spec(zone.home / "demo.yaml"), settings)


def taken(resources: Resources) -> tuple[dict[str, str], tuple[str, ...]]:
    files = ingest.discover_files(resources, now=LATER)
    report = ingest.ingest_files(resources, files, owner="x", now=LATER)
    return {f.uri.rpartition("/")[2]: f.rule or f.state for f in report.files}, report.problems


def test_27_a_key_with_dots_and_a_delete_marker_are_data_and_nothing(
    zone, bucket, endpoint, make_row
):
    file = f"{HEADER}\n{make_row('%s')}\n"
    bucket.put_bucket_versioning(Bucket="rides", VersioningConfiguration={"Status": "Enabled"})
    bucket.put_object(Bucket="rides", Key="in/../../../etc/up.csv", Body=(file % "u").encode())
    bucket.put_object(Bucket="rides", Key="in/gone.csv", Body=(file % "gone").encode())
    bucket.delete_object(Bucket="rides", Key="in/gone.csv")
    bucket.put_object(Bucket="rides", Key="in/bad.csv", Body=b"")
    bucket.put_object(Bucket="rides", Key="in/zz_good.csv", Body=(file % "g").encode())
    before = sorted(path.name for path in zone.home.parent.iterdir())
    states, problems = taken(on_s3(zone, endpoint))
    assert states == {"up.csv": "appended", "bad.csv": "empty", "zz_good.csv": "appended"}
    assert problems == ()
    assert sorted(zone.keys) == ["g", "u"]
    assert sorted(path.name for path in zone.home.parent.iterdir()) == before
    kept = bucket.list_objects_v2(Bucket="rides")["Contents"]
    assert len(kept) == 3, "nothing was moved or deleted"


def test_27_an_object_deleted_between_listing_and_reading_is_left_alone(
    zone, bucket, endpoint, make_row
):
    for key in ("gone", "zz_good"):
        body = f"{HEADER}\n{make_row(key)}\n".encode()
        bucket.put_object(Bucket="rides", Key=f"in/{key}.csv", Body=body)
    resources = on_s3(zone, endpoint)
    files = ingest.discover_files(resources, now=LATER)
    bucket.delete_object(Bucket="rides", Key="in/gone.csv")
    report = ingest.ingest_files(resources, files, owner="x", now=LATER)
    assert [f.state for f in report.files] == ["appended"]
    assert report.problems == ()


def test_27_access_denied_fails_without_retry_and_harms_nothing(zone, bucket, endpoint, make_row):
    """The server asks for rights: one who may list and not read, then one whom nobody knows."""
    body = f"{HEADER}\n{make_row('g')}\n".encode()
    bucket.put_object(Bucket="rides", Key="in/a.csv", Body=body)
    keys = _user_who_may(endpoint, "s3:ListBucket")
    _moto(endpoint, "reset-auth", b"0")
    resources = on_s3(zone, endpoint, **keys)
    states, problems = taken(resources)
    assert states == {}
    assert len(problems) == 1
    assert "may not be read: S3 answers AccessDenied. Check the connection" in problems[0]
    report = ingest.ingest_files(
        resources, ingest.discover_files(resources, now=LATER), owner="x", now=LATER
    )
    with pytest.raises(FileUnreadable) as error:
        ingest.raise_problems(report)
    assert not error.value.retryable
    with pytest.raises(FileUnreadable, match="InvalidAccessKeyId"):
        ingest.discover_files(on_s3(zone, endpoint), now=LATER)


def _user_who_may(endpoint: str, action: str) -> dict[str, str]:
    iam = boto3.client(
        "iam", endpoint_url=endpoint, aws_access_key_id="testing", aws_secret_access_key="testing",
        region_name=REGION,
    )  # fmt: skip
    iam.create_user(UserName="reader")
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    return {
        "EVERGREEN_S3_ACCESS_KEY": key["AccessKeyId"],
        "EVERGREEN_S3_SECRET_KEY": key["SecretAccessKey"],
    }
