"""The Makefile explains every target, and stops with a clear word before an unusable Python."""

import re
import subprocess
from pathlib import Path

WANTED = {"setup", "demo", "up", "run", "down", "test", "check", "fmt", "model", "clean", "lock"}


def _make(project_root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=project_root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_explains_every_target(project_root: Path) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", _make(project_root, "help").stdout)
    explained = dict(re.findall(r"^  ([a-z]+) +([A-Z].+)$", shown, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.+)$", (project_root / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(explained) == set(phony.group(1).split()) >= WANTED


def test_an_unusable_python_is_told_before_anything_is_installed(
    project_root: Path, tmp_path: Path
) -> None:
    old = tmp_path / "python3"
    old.write_text(
        '#!/bin/sh\nshift\nexec python3 -c "import sys; sys.version_info = (3, 9, 0); $1"\n'
    )
    old.chmod(0o755)
    done = _make(project_root, "setup", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert f"Python 3.11, 3.12 or 3.13 is needed; {old} is 3.9." in done.stderr
    assert not (tmp_path / "venv").exists()


def test_uv_is_pinned_by_the_lock(project_root: Path) -> None:
    printed = _make(project_root, "--dry-run", "setup", "VENV=/nowhere").stdout
    pinned = re.search(
        r"^uv==(\S+)", (project_root / "requirements-dev.lock").read_text(), re.MULTILINE
    )
    assert pinned is not None
    assert f"uv=={pinned.group(1)}" in printed
