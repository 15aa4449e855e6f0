"""The command that makes serving ready says which runtime the models get, and why not the other."""

from pathlib import Path

import pytest

from include.evergreen.cli import serving_image


def test_without_an_engine_it_says_processes_and_why(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setenv("EVERGREEN_DOCKER_URL", f"unix://{tmp_path}/none.sock")
    assert serving_image.main() == 0
    assert "plain local processes" in capsys.readouterr().out
    assert "No container engine answers" in caplog.text
