"""A small spec that every rule accepts, as YAML, for tests that break one thing of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from include.evergreen.errors import SpecError
from include.evergreen.spec import load_spec

VALID = """\
model: rides
task: regression
data:
  landing: landing/rides
  time: at
  key: ride
  target: count
  columns:
    temperature: {type: float, min: -30, max: 50, max_null_share: 0.01}
    humidity: {type: integer, min: 0, max: 100}
    weather: {type: category, values: [clear, mist, rain]}
    count: {type: integer, min: 0}
training:
  metric: rmse
  budget: {trials: 5, seconds: 10}
"""


@pytest.fixture
def valid() -> str:
    return VALID


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def to_file(text: str | bytes, name: str = "rides.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


@pytest.fixture
def refusal(write: Callable[..., Path]) -> Callable[[str | bytes], str]:
    """The message with which a spec is refused; it always names the file."""

    def message_of(text: str | bytes) -> str:
        with pytest.raises(SpecError) as caught:
            load_spec(write(text))
        assert "rides.yaml" in str(caught.value)
        assert not caught.value.retryable
        return str(caught.value)

    return message_of
