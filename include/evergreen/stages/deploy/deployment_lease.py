"""One run at a time moves what answers for a model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, TypeVar

from include.evergreen.stages.deploy.services import ENVIRONMENT
from include.evergreen.stages.leases import holding
from include.evergreen.stages.resources import Resources

P = ParamSpec("P")
R = TypeVar("R")


def deployment_subject(model: str) -> str:
    """What the lease on what answers for a model is named by."""
    return f"deployment:{model}:{ENVIRONMENT}"


def deployment_lease(resources: Resources, *, wait: bool = True) -> AbstractContextManager[None]:
    """One run at a time moves what answers for a model in an environment."""
    return holding(resources, deployment_subject(resources.model), wait=wait)


def under_deployment_lease(
    stage: Callable[Concatenate[Resources, P], R],
) -> Callable[Concatenate[Resources, P], R]:
    """A stage that works under the lease of its model's deployment."""

    @functools.wraps(stage)
    def alone(resources: Resources, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with deployment_lease(resources):
            return stage(resources, *args, **kwargs)

    return alone
