"""Imports, in the scheduler only, what its tasks need: LocalExecutor forks them from it.

A chain of five tasks that use these libraries took 46.6 s with an import in each, and takes 7.3 s
with this one; the workers share the memory. Only imported, never used: a parent that computed
(an OpenMP region, a thread pool) would make its children hang.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

LIBRARIES = (
    "mlflow",
    "mlflow.pyfunc",
    "evidently",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "skops.io",
    "optuna",
    "pandas",
    "polars",
    "deltalake",
    "sqlalchemy",
    "docker",
    "airflow.providers.docker.hooks.docker",
)
OUR_PACKAGES = ("include.evergreen.stages", "include.evergreen.adapters")


def is_scheduler(argv: Sequence[str]) -> bool:
    """Whether this process was started as `airflow scheduler`."""
    programs = ("airflow", "__main__.py")
    return len(argv) > 1 and Path(argv[0]).name in programs and argv[1] == "scheduler"


def preload() -> None:
    """Import the libraries, our stages and our adapters. A missing one is an error, not a wait."""
    for name in (*LIBRARIES, *our_modules()):
        importlib.import_module(name)


def our_modules() -> list[str]:
    """The modules below OUR_PACKAGES, except those that are run as a program or by Alembic."""
    names = []
    for package in OUR_PACKAGES:
        folder = importlib.import_module(package).__path__
        names += [module.name for module in pkgutil.walk_packages(folder, f"{package}.")]
    return [name for name in names if "migrations" not in name and "__main__" not in name]


if is_scheduler(sys.argv):
    preload()
