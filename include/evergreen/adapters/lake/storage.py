"""Where a lake lies, and how to reach it: a local directory or a prefix on S3."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import polars as pl
from botocore.config import Config

from include.evergreen.disk import folders_in
from include.evergreen.effects import effect, read
from include.evergreen.settings import Settings

_S3_OPTIONS = {
    "endpoint_url": "aws_endpoint_url",
    "access_key": "aws_access_key_id",
    "secret_key": "aws_secret_access_key",
    "region": "aws_region",
    "session_token": "aws_session_token",
}
#: A request that hears nothing for so long is asked again. polars itself waits for ever.
_CONNECT_S, _REQUEST_S, _TRIES = 5, 60, 4


@dataclass(frozen=True)
class Storage:
    """One place of the lake: `uri` is an absolute directory or `s3://bucket/prefix`."""

    uri: str
    options: Mapping[str, str]

    @property
    def is_local(self) -> bool:
        return "://" not in self.uri

    @property
    def delta_options(self) -> dict[str, str] | None:
        """What the Delta writer needs; on S3 it commits with a conditional put."""
        if self.is_local:
            return None
        return {**self.options, "aws_conditional_put": "etag"}

    @property
    def polars_options(self) -> dict[str, str] | None:
        return None if self.is_local else dict(self.options)

    @read
    def inside(self, *names: str) -> Storage:
        return Storage("/".join((self.uri, *names)), self.options)

    @effect
    def write_parquet(self, frame: pl.DataFrame, name: str) -> int:
        """Write one file of this place, whole or not at all; its size in bytes."""
        if not self.is_local:
            content = io.BytesIO()
            frame.write_parquet(content)
            bucket, key = self._object(name)
            self._client.put_object(Bucket=bucket, Key=key, Body=content.getvalue())
            return content.tell()
        directory = Path(self.uri)
        directory.mkdir(parents=True, exist_ok=True)
        partial = directory / f".{name}.{uuid.uuid4().hex}.tmp"
        try:
            frame.write_parquet(partial)
            size = partial.stat().st_size
            partial.replace(directory / name)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return size

    @read
    def read_parquet(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(
            f"{self.uri}/{name}", storage_options=self.polars_options, glob=False
        )

    @effect
    def discard(self, name: str) -> None:
        """Remove a file that no commit names."""
        if self.is_local:
            Path(self.uri, name).unlink(missing_ok=True)
            return
        bucket, key = self._object(name)
        self._client.delete_object(Bucket=bucket, Key=key)

    @read
    def folders(self) -> dict[str, dt.datetime]:
        """The folders right inside this place, and when anything in each last changed."""
        if self.is_local:
            return {path.name: when for path, when in folders_in(Path(self.uri)).items()}
        found: dict[str, dt.datetime] = {}
        for key, changed in self._objects():
            name, _, inside = key.partition("/")
            if inside:
                found[name] = max(changed, found.get(name, changed))
        return found

    @effect
    def remove_folder(self, name: str) -> None:
        """Remove a folder of this place with all in it; gone already is fine."""
        if self.is_local:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(Path(self.uri, name))
            return
        inside = self.inside(name)
        bucket, prefix = inside._object("")  # noqa: SLF001 - another place of the same kind
        for key, _ in inside._objects():  # noqa: SLF001
            self._client.delete_object(Bucket=bucket, Key=f"{prefix}{key}")

    def _objects(self) -> Iterator[tuple[str, dt.datetime]]:
        """Every object below this place: its key from here on, and when it was written."""
        bucket, prefix = self._object("")
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for item in page.get("Contents", ()):
                yield item["Key"].removeprefix(prefix), item["LastModified"]

    def _object(self, name: str) -> tuple[str, str]:
        bucket, _, prefix = self.uri.removeprefix("s3://").partition("/")
        return bucket, f"{prefix}/{name}"

    @cached_property
    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.options.get("aws_endpoint_url"),
            aws_access_key_id=self.options.get("aws_access_key_id"),
            aws_secret_access_key=self.options.get("aws_secret_access_key"),
            aws_session_token=self.options.get("aws_session_token"),
            region_name=self.options.get("aws_region"),
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_REQUEST_S,
                retries={"max_attempts": _TRIES, "mode": "standard"},
            ),
        )


def lake_storage(settings: Settings) -> Storage:
    """The root of the lake of this installation."""
    uri = settings.lake_uri.rstrip("/")
    if not uri.startswith("s3://"):
        return Storage(str(Path(uri.removeprefix("file://")).absolute()), {})
    options = {_S3_OPTIONS[key]: value for key, value in settings.s3.items() if key in _S3_OPTIONS}
    if options.get("aws_endpoint_url", "").startswith("http://"):
        options["aws_allow_http"] = "true"
    options |= {"connect_timeout": f"{_CONNECT_S} seconds", "timeout": f"{_REQUEST_S} seconds"}
    return Storage(uri, options)
