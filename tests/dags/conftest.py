"""A folder of models for the DAG tests, small enough to read at a glance."""

from collections.abc import Iterator
from pathlib import Path

import pytest

SPEC = """\
model: {name}
description: Rides per hour.
task: regression
data:
  landing: landing/{name}
  time: at
  key: ride
  target: rides
  columns:
    temperature: {{type: float, min: -30, max: 50}}
    rides: {{type: integer, min: 0}}
training:
  metric: rmse
"""


@pytest.fixture
def write_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Write specs by name into a folder of their own and point the DAG files at it."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("EVERGREEN_MODELS_DIR", str(folder))
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))

    def write(*names: str, **texts: str) -> Path:
        for name in names:
            (folder / f"{name}.yaml").write_text(SPEC.format(name=name))
        for name, text in texts.items():
            (folder / f"{name}.yaml").write_text(text)
        return folder

    return write
