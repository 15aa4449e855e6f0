"""A landing zone under an S3 prefix: objects are whole when they appear, and are read as listed."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from include.evergreen.adapters.landing.zone import ByteStream, Landing, is_ignored
from include.evergreen.contracts import LandedFile
from include.evergreen.effects import effect, read
from include.evergreen.errors import FileChanged, FileUnreadable, Unavailable

_SAFE = "/-_.~=+@,:()!"
_DENIED = {"AccessDenied", "Forbidden", "403", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_DENIED |= {
    "NoSuchBucket",
    "InvalidObjectState",
    "ExpiredToken",
    "InvalidToken",
    "AllAccessDisabled",
}
_CHANGED = {"NoSuchKey", "404", "PreconditionFailed", "412", "MethodNotAllowed"}


class S3Landing(Landing):
    """Objects under `s3://bucket/prefix/`. Deleted ones (delete markers) are not listed."""

    atomic = True

    def __init__(self, uri: str, access: Mapping[str, str]) -> None:
        self.uri = uri
        self._bucket, _, self._prefix = uri.removeprefix("s3://").partition("/")
        self._access = access

    @read
    def list(self) -> list[LandedFile]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        with _explained(self.uri):
            objects = [entry for page in pages for entry in page.get("Contents", [])]
        found = [
            self._landed(entry)
            for entry in objects
            if not entry["Key"].endswith("/")
            and not is_ignored(entry["Key"].removeprefix(self._prefix))
        ]
        return sorted(found, key=lambda file: (file.modified_at, file.uri))

    def _landed(self, entry: Mapping[str, Any]) -> LandedFile:
        modified_at = entry["LastModified"].astimezone(dt.UTC).isoformat()
        etag = entry["ETag"].strip('"')
        return LandedFile(
            uri=f"s3://{self._bucket}/{quote(entry['Key'], safe=_SAFE)}",
            size_bytes=entry["Size"],
            modified_at=modified_at,
            changed_at=modified_at,
            fingerprint=f"{entry['Size']}-{etag}",
        )

    @read
    @contextlib.contextmanager
    def open_binary(self, file: LandedFile) -> Iterator[ByteStream]:
        key = unquote(file.uri.removeprefix(f"s3://{self._bucket}/"))
        if not key.startswith(self._prefix):
            raise FileChanged(f"{file.uri} does not lie in the landing zone {self.uri}.")
        etag = file.fingerprint.partition("-")[2]
        with _explained(file.uri):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=f'"{etag}"')
            with contextlib.closing(answer["Body"]) as body:
                yield body

    @effect
    def upload(self, source: Path, name: str) -> None:
        """Put a file under the prefix, for a person; it appears whole."""
        prefix = f"{self._prefix.rstrip('/')}/" if self._prefix else ""
        with _explained(f"{self.uri}{name}"):
            self._client.upload_file(str(source), self._bucket, f"{prefix}{name}")

    @cached_property
    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self._access.get("endpoint_url"),
            aws_access_key_id=self._access.get("access_key"),
            aws_secret_access_key=self._access.get("secret_key"),
            aws_session_token=self._access.get("session_token"),
            region_name=self._access.get("region"),
            config=Config(
                connect_timeout=5, read_timeout=60, retries={"max_attempts": 4, "mode": "standard"}
            ),
        )


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turns what the S3 client raises into what happened: denied, changed, or not available."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _DENIED:
            raise FileUnreadable(
                f"{uri} may not be read: S3 answers {code}. Check the connection evergreen_s3 (or "
                "EVERGREEN_S3_*) and the bucket's policy, then clear the task."
            ) from error
        if code in _CHANGED:
            raise FileChanged(f"{uri} was replaced or deleted since it was listed.") from error
        raise Unavailable(f"{uri} cannot be read now: S3 answers {code or error}.") from error
    except NoCredentialsError as error:
        raise FileUnreadable(
            f"{uri} may not be read: no S3 credentials. Fill in the connection evergreen_s3 or set "
            "EVERGREEN_S3_ACCESS_KEY and EVERGREEN_S3_SECRET_KEY."
        ) from error
    except BotoCoreError as error:
        raise Unavailable(f"{uri} cannot be read now: {error}") from error
