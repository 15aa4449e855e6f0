"""Imports, in the scheduler only, what its tasks need: LocalExecutor forks them from it.

A chain of five tasks that use these libraries took 46.6 s with an import in each, and takes 7.3 s
with this one; the workers share the memory. Only imported, never used: a parent that computed
(an OpenMP region, a thread pool) would make its children hang.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

LIBRARIES = (
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.tracking.request_header.registry",
    "mlflow.tracing.processor.otel",
    "evidently",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "skops.io",
    "onnx",
    "onnxruntime",
    "optuna",
    "optuna.importance",
    "matplotlib.backends.backend_agg",
    "multiprocessing.dummy",
    "pandas",
    "pyarrow.pandas_compat",
    "polars",
    "deltalake",
    "sqlalchemy",
    "docker",
    "airflow.providers.docker.hooks.docker",
    "airflow.providers.standard.decorators.python",
)
OUR_PACKAGES = ("include.evergreen.stages", "include.evergreen.adapters")
#: What every DAG file imports.
OUR_MODULES = ("include.evergreen.dag_kit", "include.evergreen.links", "include.evergreen.assets")


def is_scheduler(argv: Sequence[str]) -> bool:
    """Whether this process was started as `airflow scheduler`."""
    programs = ("airflow", "__main__.py")
    return len(argv) > 1 and Path(argv[0]).name in programs and argv[1] == "scheduler"


def preload() -> None:
    """Import the libraries, our stages and our adapters. A missing one is an error, not a wait."""
    with warnings.catch_warnings():
        # skops asks every loaded module for a name, and Airflow's answer with a thousand warnings.
        warnings.filterwarnings("ignore", message="The `airflow")
        for name in (*LIBRARIES, *OUR_MODULES, *our_modules()):
            importlib.import_module(name)
    _list_packages()


def _list_packages() -> None:
    """Have MLflow list the installed packages, which each of its `save_model` needs (0.4 s)."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])


def our_modules() -> list[str]:
    """The modules below OUR_PACKAGES, except those that are run as a program or by Alembic."""
    names = []
    for package in OUR_PACKAGES:
        folder = importlib.import_module(package).__path__
        names += [module.name for module in pkgutil.walk_packages(folder, f"{package}.")]
    return [name for name in names if "migrations" not in name and "__main__" not in name]


if is_scheduler(sys.argv):
    preload()
