"""The directions between layers hold, and each contract is seen to fail when broken."""

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

#: file to break -> a line that breaks it, and the contract that must notice.
BREAKS = {
    "include/evergreen/notify.py": ("import mlflow", "Light modules stay light"),
    "include/evergreen/policy/drift.py": ("import numpy", "Policies are pure"),
    "include/evergreen/adapters/lake/__init__.py": (
        "import include.evergreen.adapters.ledger",
        "Adapters do not know each other",
    ),
    "include/evergreen/adapters/registry/__init__.py": (
        "import include.evergreen.stages.training.judge",
        "Adapters and model code do not know the stages",
    ),
    "include/evergreen/model_code/features.py": (
        "import include.evergreen.errors",
        "What travels with a model imports nothing of ours",
    ),
    "include/evergreen/stages/training/judge.py": ("import airflow", "Stages never import Airflow"),
    "include/evergreen/stages/training/register.py": ("import mlflow", "One vendor, one adapter"),
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    executable = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [executable, "--no-cache"],
        cwd=root,
        env={**os.environ, "COLUMNS": "300"},  # it wraps the names of contracts otherwise
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(project_root: Path, tmp_path: Path) -> Path:
    shutil.copytree(
        project_root / "include",
        tmp_path / "include",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(project_root / "pyproject.toml", tmp_path)
    return tmp_path


def test_each_contract_fails_when_broken(copy: Path) -> None:
    for file, (line, _) in BREAKS.items():
        path = copy / file
        path.write_text(path.read_text() + f"\n\ndef _broken() -> None:\n    {line}\n")
    done = lint(copy)
    assert done.returncode == 1
    for _, contract in BREAKS.values():
        assert re.search(rf"{re.escape(contract)}.* BROKEN", done.stdout), (contract, done.stdout)


def test_the_project_keeps_every_contract(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


#: distribution -> module, where the names differ.
MODULES = {
    "apache-airflow": "airflow",
    "apache-airflow-providers-amazon": "airflow.providers.amazon",
    "apache-airflow-providers-docker": "airflow.providers.docker",
    "apache-airflow-providers-standard": "airflow.providers.standard",
    "arro3-core": "arro3.core",
    "arro3-io": "arro3.io",
    "protobuf": "google.protobuf",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}


def direct_dependencies(project_root: Path) -> list[str]:
    lines = (project_root / "requirements.txt").read_text().splitlines()
    names = [re.match(r"[A-Za-z0-9_.-]+", line) for line in lines if not line.startswith("#")]
    return [match.group().lower() for match in names if match]


@pytest.mark.filterwarnings("default")
def test_every_direct_dependency_imports(project_root: Path) -> None:
    names = direct_dependencies(project_root)
    assert len(names) >= 20
    for name in names:
        importlib.import_module(MODULES.get(name, name.replace("-", "_")))
