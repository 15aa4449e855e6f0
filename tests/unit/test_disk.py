"""Folders are looked at while others remove what is in them."""

import datetime as dt
import os
from pathlib import Path

import pytest

from include.evergreen.disk import folders_in, newest_change


def aged(path: Path, seconds: float) -> Path:
    os.utime(path, (seconds, seconds))
    return path


def test_the_newest_change_of_anything_counts(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    aged(inner, 2_000)
    aged(tmp_path / "a", 1_000)
    assert newest_change(tmp_path / "a") == dt.datetime.fromtimestamp(2_000, dt.UTC)


def test_what_vanishes_meanwhile_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("kept", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
        (tmp_path / name / "other").touch()
    listed = Path.rglob

    def vanishing(self: Path, pattern: str):
        for path in listed(self, pattern):
            if path.name == "file":
                path.unlink()
            yield path

    monkeypatch.setattr(Path, "rglob", vanishing)
    seen = Path.is_dir

    def removed(self: Path) -> bool:
        there = seen(self)
        if self.name == "gone":
            for path in self.iterdir():
                path.unlink()
            self.rmdir()
        return there

    monkeypatch.setattr(Path, "is_dir", removed)
    assert [path.name for path in folders_in(tmp_path)] == ["kept"]


def test_no_place_has_no_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert folders_in(tmp_path) == {}
    assert folders_in(tmp_path / "nowhere") == {}
