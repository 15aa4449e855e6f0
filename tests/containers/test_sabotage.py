"""Saboteurs in real containers: stopped by the check named for each, while the champion serves."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ImageNotFound

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime.docker_images import SERVING_DIR
from include.evergreen.contracts import BuiltImage
from include.evergreen.errors import VerificationFailed
from tests.sabotage.container_saboteurs import BY_NAME
from tests.sabotage.container_side import Scene, champion_serving, open_scene, plant

NAMES = ("crashes on start", "answers NaN", "predicts differently")


@pytest.fixture(scope="module")
def docker_scene(
    tmp_path_factory: pytest.TempPathFactory, engine: Any, empty_registry: Path
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("sabotage")
    settings = evergreen_settings.load({"EVERGREEN_HOME": str(folder / "home")})
    (settings.home / "mlflow").mkdir(parents=True)
    shutil.copy(empty_registry, settings.home / "mlflow" / "mlflow.db")
    built: list[BuiltImage] = []
    try:
        with open_scene(folder, "docker", settings) as scene:
            built = scene.house.built
            yield scene
    finally:
        for reference in {image.reference for image in built}:
            with contextlib.suppress(ImageNotFound):
                engine.remove_image(reference, force=True)


def spoiled(scene: Scene, engine: Any, context: Path, lines: str) -> BuiltImage:
    """The candidate's image with a layer of a saboteur above it, under a tag of its own."""
    honest = scene.house.build(scene.candidate)
    (context / "Dockerfile").write_text(f"FROM {honest.reference}\n{lines}")
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    tag = f"evergreen/model:sabotage-{context.name.strip('_')[:40].lower()}"
    for part in engine.build(path=str(context), tag=tag, rm=True, forcerm=True, decode=True):
        assert "error" not in part, part
    image = dataclasses.replace(honest, reference=tag, digest=engine.inspect_image(tag)["Id"])
    scene.house.built.append(image)
    return image


@pytest.mark.parametrize("name", NAMES)
def test_a_saboteur_in_a_container_is_stopped_by_its_checks(
    docker_scene: Scene, engine: Any, tmp_path: Path, name: str
) -> None:
    saboteur = BY_NAME[name]
    (tmp_path / "app").mkdir()
    shutil.copy(SERVING_DIR / "app.py", tmp_path / "app")
    plant(tmp_path / "app", saboteur.lie)
    image = spoiled(docker_scene, engine, tmp_path, "COPY app/ /app/\n")
    with champion_serving(docker_scene), pytest.raises(VerificationFailed):
        docker_scene.house.verify(image)
    record = docker_scene.newest()
    assert (record.state, record.reason) == ("failed", f"failed: {', '.join(saboteur.stopped_by)}")


def test_an_image_whose_bundle_was_changed_by_a_byte_loads_nothing(
    docker_scene: Scene, engine: Any, tmp_path: Path
) -> None:
    honest = docker_scene.house.folder / "training-2" / "bundle"  # as House.register writes it
    (tmp_path / "features.py").write_bytes((honest / "features.py").read_bytes() + b"\n")
    image = spoiled(docker_scene, engine, tmp_path, "COPY features.py /bundle/features.py\n")
    with champion_serving(docker_scene), pytest.raises(VerificationFailed) as stopped:
        docker_scene.house.verify(image)
    assert "Nothing was loaded" in str(stopped.value)
    assert docker_scene.newest().reason == "failed: healthy"
