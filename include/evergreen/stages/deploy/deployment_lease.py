"""One run at a time moves what answers for a model in an environment."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec, TypeVar

from include.evergreen.adapters.runtime import Environment
from include.evergreen.stages.leases import holding
from include.evergreen.stages.resources import Resources

P = ParamSpec("P")
R = TypeVar("R")


def deployment_subject(model: str, environment: Environment) -> str:
    """What the lease on what answers for a model in an environment is named by."""
    return f"deployment:{model}:{environment}"


def deployment_lease(
    resources: Resources, environment: Environment, *, wait: bool = True
) -> AbstractContextManager[None]:
    """One run at a time moves what answers for a model in an environment."""
    return holding(resources, deployment_subject(resources.model, environment), wait=wait)


def under_deployment_lease(
    environment: Environment,
) -> Callable[
    [Callable[Concatenate[Resources, P], R]],
    Callable[Concatenate[Resources, P], R],
]:
    """A stage that works under the lease of its model's deployment in this environment."""

    def decorate(
        stage: Callable[Concatenate[Resources, P], R],
    ) -> Callable[Concatenate[Resources, P], R]:
        @functools.wraps(stage)
        def alone(resources: Resources, /, *args: P.args, **kwargs: P.kwargs) -> R:
            with deployment_lease(resources, environment):
                return stage(resources, *args, **kwargs)

        return alone

    return decorate
