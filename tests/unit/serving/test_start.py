"""A service starts only with what was recorded, and says why when it does not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.model_code.test_bundle_trust import forge
from tests.unit.serving.conftest import SERVING


def start(directory: Path, digest: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SERVING / "app.py", "--port", "1"],
        cwd="/",
        env={"EVERGREEN_BUNDLE": str(directory), "EVERGREEN_MANIFEST_DIGEST": digest},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def copy(rides, tmp_path) -> Path:
    return Path(shutil.copytree(rides.directory, tmp_path / "copy"))


def test_without_the_recorded_digest_nothing_is_loaded(copy) -> None:
    for digest in ("", "0" * 64):
        done = start(copy, digest)
        assert done.returncode == 3
        assert "was recorded for this version" in done.stderr


def test_a_changed_predictor_never_runs(rides, copy) -> None:
    (copy / "predictor.py").write_text("print('changed code ran')\n")
    done = start(copy, rides.digest)
    assert done.returncode == 3
    assert "predictor.py in" in done.stderr
    assert "changed code ran" not in done.stdout


def test_a_model_that_predicts_otherwise_than_at_training_is_not_served(copy) -> None:
    path = copy / "features.py"
    path.write_text(path.read_text().replace("/ _HOUR_US", "/ _HOUR_US + 6"))
    done = start(copy, forge(copy))
    assert done.returncode == 3
    assert "The golden rows come out" in done.stderr


def test_an_absent_bundle_is_said_in_one_line(tmp_path) -> None:
    done = start(tmp_path / "absent", "0" * 64)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
