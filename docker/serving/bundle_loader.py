"""Loads the bundle's own predictor, after its manifest and its code were found as recorded.

The digest of the manifest comes from whoever started the service, never from the folder it checks.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import types
from pathlib import Path
from typing import Any

MAX_CODE_BYTES = 1 << 20


class BundleRefused(ValueError):
    """What is to be served is not what was recorded."""


def load_predictor(directory: Path, manifest_digest: str) -> Any:
    """The `Predictor` of a bundle; it checks every other file before it loads anything.

    Raises:
        ValueError: a digest differs, or the bundle holds what may not be loaded.
    """
    raw = _read(directory / "manifest.json")
    seen = hashlib.sha256(raw).hexdigest()
    if seen != manifest_digest:
        raise BundleRefused(
            f"The manifest in {directory} has sha256 {seen}; {manifest_digest or 'nothing'} was "
            "recorded for this version (EVERGREEN_MANIFEST_DIGEST). Nothing was loaded."
        )
    recorded = json.loads(raw)["files"]["predictor.py"]
    source = _read(directory / "predictor.py")
    seen = hashlib.sha256(source).hexdigest()
    if seen != recorded:
        raise BundleRefused(
            f"predictor.py in {directory} has sha256 {seen}; the manifest records {recorded}. "
            "Nothing was loaded."
        )
    module = types.ModuleType("predictor")
    exec(compile(source, "<bundle>/predictor.py", "exec"), module.__dict__)  # noqa: S102 - checked
    return module.Predictor.load(directory, manifest_digest)


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_CODE_BYTES:
            raise BundleRefused(f"{path} is no regular file of at most {MAX_CODE_BYTES:,} bytes.")
        return file.read(MAX_CODE_BYTES)
