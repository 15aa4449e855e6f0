"""The engine and its images, as the tests of containers have them."""

from tests.containers.conftest import empty_registry, engine, images, shared_work

__all__ = ["empty_registry", "engine", "images", "shared_work"]
