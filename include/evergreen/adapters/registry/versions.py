"""What a registered version says about itself, read from its tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Every tag of ours begins so.
PREFIX = "evergreen."
TRAINING_KEY = f"{PREFIX}training_key"
MANIFEST_DIGEST = f"{PREFIX}manifest_digest"
#: Whose run, logged model or version it is, where several installations share a server.
INSTALLATION = f"{PREFIX}installation"
RECIPE = f"{PREFIX}recipe"
SEEN_UNTIL = f"{PREFIX}seen_until"
LONGEST_TAG = 5000


@dataclass(frozen=True)
class VersionInfo:
    """A version of a registered model. `recipe` is the estimator and parameters it was fitted by,
    `seen_until` the newest time (or batch) of the rows it was fitted on.
    """

    model: str
    version: int
    run_id: str
    training_key: str
    manifest_digest: str
    seen_until: str
    recipe: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def version_info(found: Any) -> VersionInfo:
    """From MLflow's model version."""
    tags = dict(found.tags or {})
    return VersionInfo(
        model=str(found.name),
        version=int(found.version),
        run_id=str(found.run_id or ""),
        training_key=tags.get(TRAINING_KEY, ""),
        manifest_digest=tags.get(MANIFEST_DIGEST, ""),
        seen_until=tags.get(SEEN_UNTIL, ""),
        recipe=json.loads(tags.get(RECIPE, "{}")),
        tags=tags,
    )


def our_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags of ours, with their prefix."""
    return {
        name if name.startswith(PREFIX) else f"{PREFIX}{name}": str(value)[:LONGEST_TAG]
        for name, value in tags.items()
    }
