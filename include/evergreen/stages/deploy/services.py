"""What a version is started with: limits, spool and environment, all from its spec and settings."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from include.evergreen.adapters.runtime import (
    Environment,
    Limits,
    Runtime,
    ServiceOrder,
    runtime_of,
)
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.stages.resources import Resources

STAGING: Final = "staging"
PRODUCTION: Final = "production"
#: Which stage's DAG brings a version into each environment.
STAGE_OF: dict[Environment, str] = {"staging": "deploy", "production": "release"}
GRACE_S = 10.0  # what a service is given to answer what it has begun and to close its spool


def order_for(resources: Resources, image: BuiltImage, environment: Environment) -> ServiceOrder:
    deployment = resources.spec.deployment
    folder = f"v{image.version}-{environment}"
    return ServiceOrder(
        image=image,
        environment=environment,
        limits=Limits(memory_mib=deployment.memory_mib, cpus=deployment.cpus, pids=deployment.pids),
        spool=resources.settings.spool_dir / image.model / folder,
        env={
            "EVERGREEN_MAX_ROWS": str(deployment.max_rows),
            "EVERGREEN_MAX_BODY_BYTES": str(deployment.max_body_mib * 2**20),
            **_log_environment(resources),
        },
    )


def _log_environment(resources: Resources) -> dict[str, str]:
    log = resources.spec.deployment.prediction_log
    salt = f"{resources.settings.installation_id}:{resources.model}"
    return {
        "EVERGREEN_LOG_SHARE": f"{log.share:g}",
        "EVERGREEN_LOG_PRIVATE": json.dumps(log.private, sort_keys=True),
        "EVERGREEN_LOG_SALT": hashlib.sha256(salt.encode()).hexdigest(),
    }


def runtime_for(resources: Resources, thing: BuiltImage | RunningService) -> Runtime:
    """The runtime a thing was made with, whatever the spec says by now."""
    return runtime_of(thing, resources.settings)
