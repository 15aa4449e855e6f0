"""Inside another Airflow project there is no Makefile and no docs/ of ours: neither is named."""

import datetime as dt
from pathlib import Path

import pytest

from include.evergreen.cli import new_model
from include.evergreen.simulator import simulate_bike

START = dt.date(2025, 1, 1)


def write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    simulate_bike(START, 20, seed=1).write_csv(tmp_path / "rides.csv")
    out = tmp_path / "include" / "models" / "rides.yaml"
    wanted = ["--name", "rides", "--data", str(tmp_path / "rides.csv"), "--target", "cnt"]
    assert new_model.main([*wanted, "--out", str(out)]) == 0
    return out.read_text(), capsys.readouterr().out


def test_it_says_what_to_do_next_where_there_is_no_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(new_model.settings, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(new_model, "SCHEMA_FILE", tmp_path / "docs" / "spec.schema.json")
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path / "home"))
    text, said = write(tmp_path, capsys)
    assert "make run" not in said
    assert said.rstrip().endswith(f"rides.csv into {tmp_path}/home/landing/rides")
    assert "$schema" not in text


def test_in_a_checkout_it_names_make_and_the_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(new_model.settings, "PROJECT_ROOT", tmp_path)
    text, said = write(tmp_path, capsys)
    assert "Next: make run MODEL=rides" in said
    assert "$schema" in text
