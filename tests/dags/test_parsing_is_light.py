"""Parsing must stay cheap: each DAG file is executed over and over by Airflow."""

import os
import subprocess
import sys
from pathlib import Path

HEAVY = ("mlflow", "evidently", "sklearn", "pandas", "optuna", "polars", "deltalake", "boto3")
PARSE = """
import runpy, sys, pathlib
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    runpy.run_path(str(file))
print(",".join(m for m in sys.argv[2].split(",") if m in sys.modules))
"""


def heavy_imports(dags: Path, project_root: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(dags), ",".join(HEAVY)],
        env={**os.environ, "PYTHONPATH": str(project_root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1] if done.stdout else ""


def test_parsing_all_dag_files_imports_no_heavy_library(write_models, project_root: Path) -> None:
    write_models("alpha", "beta")
    assert heavy_imports(project_root / "dags", project_root) == ""


def test_the_guard_sees_a_heavy_import(write_models, project_root: Path, tmp_path: Path) -> None:
    write_models("alpha")
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "heavy.py").write_text("import polars\n")
    assert heavy_imports(dags, project_root) == "polars"
