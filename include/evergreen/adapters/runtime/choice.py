"""Which runtime a model gets: what its spec says; for `auto`, containers wherever they can be had.

The choice and its reason are logged; nothing falls back in silence.
"""

from __future__ import annotations

import logging
from typing import Literal

from include.evergreen.adapters.runtime.docker_engine import connect
from include.evergreen.adapters.runtime.docker_images import ServingImages
from include.evergreen.adapters.runtime.docker_runtime import DockerRuntime
from include.evergreen.adapters.runtime.interface import Runtime
from include.evergreen.adapters.runtime.process_runtime import ProcessRuntime
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.effects import read
from include.evergreen.errors import EvergreenError
from include.evergreen.settings import Settings

log = logging.getLogger(__name__)


@read
def open_runtime(choice: Literal["auto", "docker", "process"], settings: Settings) -> Runtime:
    """The runtime of the spec's choice.

    Raises:
        Unavailable: `docker` was asked for, and no engine answers.
    """
    if choice == "process":
        return ProcessRuntime(settings)
    if choice == "docker":
        return _containers(settings)
    try:
        runtime = _containers(settings)
        runtime.prepare()
    except EvergreenError as error:
        log.warning("Runtime auto: a plain local process instead of a container: %s", error)
        return ProcessRuntime(settings)
    log.info("Runtime auto: containers; an engine answers and has the serving image.")
    return runtime


@read
def runtime_of(thing: BuiltImage | RunningService, settings: Settings) -> Runtime:
    """The runtime an image or a service was made with, whatever the spec says by now."""
    return open_runtime(thing.runtime, settings)


def _containers(settings: Settings) -> DockerRuntime:
    engine = connect(settings)
    return DockerRuntime(settings, engine, ServingImages(settings, engine))
