"""The plugin folder holds one thin file (ADR 3)."""

import ast
from pathlib import Path

import pytest


def test_there_is_one_python_file_below_plugins(project_root: Path) -> None:
    files = [f.name for f in (project_root / "plugins").rglob("*.py")]
    assert files == ["evergreen_plugin.py"]


def test_the_plugin_registers_links_and_mounts_no_app(
    project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_MLFLOW_PUBLIC_URL", "http://127.0.0.1:5000")
    namespace: dict = {"__name__": "evergreen_plugin"}
    exec((project_root / "plugins" / "evergreen_plugin.py").read_text(), namespace)
    plugin = namespace["EvergreenPlugin"]
    assert [link.name for link in plugin.operator_extra_links] == [
        "MLflow run",
        "Model card",
        "Drift report",
        "Running endpoint",
    ]
    assert plugin.external_views[0]["href"] == "http://127.0.0.1:5000"
    assert not plugin.fastapi_apps


def test_the_plugin_imports_only_include_and_airflow(project_root: Path) -> None:
    tree = ast.parse((project_root / "plugins" / "evergreen_plugin.py").read_text())
    modules = {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert modules == {"typing", "airflow", "include"}
