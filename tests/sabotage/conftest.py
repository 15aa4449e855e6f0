"""Saboteurs, each stopped by what it is for. What each side shares is in a module of its own."""

from tests.sabotage.container_side import scene, served
from tests.sabotage.trials import homes, tried
from tests.unit.stages.training.conftest import empty_mlflow

__all__ = ["empty_mlflow", "homes", "scene", "served", "tried"]
