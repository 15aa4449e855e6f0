"""What lies in the landing zones of a model: rows and late labels, oldest first."""

from __future__ import annotations

import dataclasses
import datetime as dt

from include.evergreen.contracts import LandedFile
from include.evergreen.stages.resources import Resources


def landed_files(resources: Resources) -> list[LandedFile]:
    """Every file of both zones, dealt with or not.

    Raises:
        FileUnreadable: a zone may not be listed.
        Unavailable: S3 does not answer.
    """
    landed = resources.landing.list()
    if resources.label_landing is not None:
        landed += [
            dataclasses.replace(file, kind="labels") for file in resources.label_landing.list()
        ]
    return sorted(landed, key=lambda file: (file.modified_at, file.uri))


def pending_files(resources: Resources) -> list[LandedFile]:
    """Those that ingest has not dealt with as they are now, in the order they are to be taken.

    Those that could not be read when they were tried come last, the one tried longest ago first:
    however many there are, they are in nobody's way.
    """
    acknowledged = resources.ledger.acknowledged(resources.model)
    tried = resources.ledger.postponed(resources.model)
    pending = [
        file for file in landed_files(resources) if acknowledged.get(file.uri) != file.fingerprint
    ]
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return sorted(pending, key=lambda file: tried.get((file.uri, file.fingerprint), never))


def is_whole(resources: Resources, file: LandedFile) -> bool:
    """Whether a file cannot be growing: an object on S3, or what is never opened."""
    landing = resources.label_landing if file.kind == "labels" else resources.landing
    return bool(file.refused) or (landing is not None and landing.atomic)
