"""Two models in bundles, one of them also as a graph, made once a session."""

import pytest

from tests.unit.model_code.bundles import Made, make_rides, make_rides_graph, make_weather


@pytest.fixture(scope="session")
def rides(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_rides(tmp_path_factory.mktemp("rides") / "bundle")


@pytest.fixture(scope="session")
def rides_graph(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_rides_graph(tmp_path_factory.mktemp("rides-graph") / "bundle")


@pytest.fixture(scope="session")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_weather(tmp_path_factory.mktemp("weather") / "bundle")
