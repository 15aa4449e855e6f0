"""The recorded loop, once a session: half a minute on a quiet machine."""

from collections.abc import Iterator

import pytest

from tests.chaos import world
from tests.chaos.recording import Recording


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    with world.opened(tmp_path_factory.mktemp("chaos")) as opened:
        yield Recording(opened).record()
