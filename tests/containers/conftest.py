"""A real container engine and a base image; where they are missing CI fails and a laptop skips."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime import installation_id
from include.evergreen.adapters.runtime.docker_engine import connect
from include.evergreen.adapters.runtime.docker_images import ServingImages
from include.evergreen.errors import EvergreenError


def missing(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI needs a container engine and a base image: {why}")
    pytest.skip(why)


@pytest.fixture(scope="session")
def shared_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-work")


@pytest.fixture(scope="session")
def engine(shared_work: Path) -> Any:
    """The engine's client, once the serving image is there."""
    settings = evergreen_settings.load({**os.environ, "EVERGREEN_HOME": str(shared_work)})
    try:
        client = connect(settings)
        ServingImages(settings, client).serving()
    except EvergreenError as error:
        missing(str(error))
    return client


@pytest.fixture(scope="session")
def base_image(engine: Any, shared_work: Path) -> str:
    settings = evergreen_settings.load({**os.environ, "EVERGREEN_HOME": str(shared_work)})
    base = ServingImages(settings, engine)._local_base()
    assert base is not None
    return base


@pytest.fixture
def clean_engine(engine: Any, installation: evergreen_settings.Settings) -> Iterator[Any]:
    """The engine; what this test's installation started is removed at its end."""
    yield engine
    label = f"evergreen.installation={installation_id(installation)}"
    for container in engine.containers(all=True, filters={"label": label}):
        engine.remove_container(container["Id"], force=True, v=True)
