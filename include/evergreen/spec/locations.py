"""Where files land: a directory under an allowed root, or an S3 prefix, and nothing else.

A relative directory lies under the Evergreen home. Everything that is no directory and no
`s3://bucket/prefix/` is refused: web addresses (a cloud's metadata service among them), and
directories outside the roots of the installation (`EVERGREEN_DATA_ROOTS`), links followed.
Text such as `{{ ds }}` or `$(date)` has no meaning here: it is part of a name.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from include.evergreen.errors import SpecError
from include.evergreen.settings import Settings

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
_ADDRESS = re.compile(r"^[0-9.]+$")
_FILE = "file://"
_S3 = "s3://"
ALLOWED = "a directory (relative: under the Evergreen home) or s3://bucket/prefix/"


def location_problem(location: str) -> str | None:
    """What is wrong with a landing zone's address whatever the installation; None if nothing is."""
    if not location.strip():
        return f"is empty; allowed is {ALLOWED}"
    if any(ord(character) < ord(" ") for character in location):
        return "holds a control character"
    if ".." in PurePosixPath(location.removeprefix(_S3)).parts:
        return "holds '..'; write the address out"
    return _bucket_problem(location) if location.startswith(_S3) else _scheme_problem(location)


def _bucket_problem(location: str) -> str | None:
    bucket = location.removeprefix(_S3).partition("/")[0]
    if not _BUCKET.match(bucket) or _ADDRESS.match(bucket):
        return f"names the bucket {bucket[:70]!r}, which cannot be one"
    return None


def _scheme_problem(location: str) -> str | None:
    scheme = _SCHEME.match(location)
    if scheme and not location.startswith(_FILE):
        return f"has the scheme {scheme[1]!r}; allowed is {ALLOWED}"
    if location.startswith(_FILE) and not location.startswith(_FILE + "/"):
        return "names a host; file:/// takes a path of this machine only"
    return None


def resolve_location(location: str, settings: Settings, field: str) -> str:
    """The absolute address of a landing zone; SpecError if it lies outside the allowed roots.

    Returns a directory's absolute path with its links resolved (it need not exist), or
    `s3://bucket/prefix/` with exactly one slash at its end.
    """
    problem = location_problem(location)
    if problem:
        raise SpecError(f"{field} {location!r} {problem}.")
    if location.startswith(_S3):
        return location.rstrip("/") + "/"
    directory = (settings.home / location.removeprefix(_FILE)).resolve()
    roots = [root.resolve() for root in settings.data_roots or (settings.home,)]
    if not any(directory.is_relative_to(root) and directory != settings.home for root in roots):
        raise SpecError(
            f"{field} {location!r} is {directory}, outside the allowed roots "
            f"({', '.join(str(root) for root in roots[:10])}). Move it under one of them, or add "
            "its root to EVERGREEN_DATA_ROOTS."
        )
    return str(directory)


def display_path(path: Path, root: Path) -> str:
    """A path as a person would write it: relative to the project where it lies inside."""
    absolute = path.absolute()
    return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(path)
