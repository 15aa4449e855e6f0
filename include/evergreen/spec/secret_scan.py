"""Finds what looks like a secret in a spec, so that it is refused before it is used or repeated."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from include.evergreen.spec.document import Document, Location

_KEY = re.compile(
    r"(?:^|[_.\-\s])(?:pass(?:word|wd|phrase)?|pwd|secrets?|tokens?|api_?key|access_?key(?:_id)?"
    r"|secret_?key|private_?key|credentials?|aws_\w+|auth\w*)(?:$|[_.\-\s])",
    re.IGNORECASE,
)
_VALUES = (
    (re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s@]*:[^/\s@]*@"), "an address with a login"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "an AWS access key"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "a private key"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}"), "a GitHub token"),
    (re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"), "a Slack token"),
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+"), "a signed token"),
    (re.compile(r"hooks\.slack\.com/services/\S+", re.IGNORECASE), "the address of a webhook"),
    (
        re.compile(
            r"(?:password|passwd|secret(?:_access)?_key|token|x-amz-signature)=\S+", re.IGNORECASE
        ),
        "a secret in a text",
    ),
)
#: Sections whose keys are names that the data brings, not ours.
SPEC_FREE_KEYS: tuple[Location, ...] = (
    ("data", "columns"),
    ("features", "ratios"),
    ("features", "bins"),
)
_ADVICE = (
    "Secrets do not belong in a spec: keep them in an Airflow connection (evergreen_s3, "
    "evergreen_ledger, evergreen_mlflow, ...) or in the environment."
)


def find_secrets(document: Document, free_keys: tuple[Location, ...] = SPEC_FREE_KEYS) -> list[str]:
    """One message a suspected secret, with its line and place, never with its value.

    `free_keys`: the places whose keys are names that the data brings.
    """
    return [
        f"line {document.line_of(at)}, {'.'.join(str(part) for part in at)}: {what}. {_ADVICE}"
        for at, what in _suspects(document.content, (), frozenset(free_keys))
    ]


def _suspects(
    value: Any, at: Location, free: frozenset[Location]
) -> Iterator[tuple[Location, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            place = (*at, key)
            if at not in free and _KEY.search(key):
                yield place, "this key names a secret"
            else:
                yield from _suspects(item, place, free)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _suspects(item, (*at, index), free)
    elif isinstance(value, str):
        for pattern, what in _VALUES:
            if pattern.search(value):
                yield at, f"{what} was seen"
                break
