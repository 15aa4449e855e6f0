"""Which runtime a model gets, and that a fallback is never silent."""

import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime import open_runtime, service_name
from include.evergreen.adapters.runtime.docker_engine import connect
from include.evergreen.adapters.runtime.docker_images import recipe_digest
from include.evergreen.adapters.runtime.wheels import Interpreter
from include.evergreen.contracts import BuiltImage
from include.evergreen.errors import ArtifactRefused, SettingsError, Unavailable


def at(url: str, home: Path) -> evergreen_settings.Settings:
    return evergreen_settings.load({"EVERGREEN_HOME": str(home), "EVERGREEN_DOCKER_URL": url})


def test_auto_without_an_engine_is_a_process_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        runtime = open_runtime("auto", at(f"unix://{tmp_path}/none.sock", tmp_path))
    assert runtime.name == "process"
    assert "a plain local process instead of a container" in caplog.text
    assert "No container engine answers" in caplog.text


def test_docker_without_an_engine_is_an_error_that_a_retry_may_mend(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Start it, or set") as no:
        open_runtime("docker", at(f"unix://{tmp_path}/none.sock", tmp_path))
    assert no.value.retryable


def test_an_engine_on_another_machine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tcp://10\.0\.0\.9:2375 is on another machine"):
        connect(at("tcp://10.0.0.9:2375", tmp_path))


def test_an_engine_that_accepts_and_never_answers_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from include.evergreen.adapters.runtime import docker_engine

    monkeypatch.setattr(docker_engine, "PING_TIMEOUT_S", 0.2)
    path = tmp_path / "mute.sock"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(8)
        with pytest.raises(Unavailable, match="does not answer within"):
            connect(at(f"unix://{path}", tmp_path))


def image(digest: str = "sha256:a", version: int = 3) -> BuiltImage:
    return BuiltImage("rides", version, "docker", "r", digest, "m")


def test_a_name_tells_model_version_environment_image_and_installation_apart(
    tmp_path: Path,
) -> None:
    here, there = at("", tmp_path / "a"), at("", tmp_path / "b")
    name = service_name(here, image(), "staging")
    assert name.startswith("evergreen-rides-v3-staging-")
    assert name == service_name(here, image(), "staging"), "the same in every try"
    others = {
        service_name(there, image(), "staging"),
        service_name(here, image("sha256:b"), "staging"),
        service_name(here, image(version=4), "staging"),
        service_name(here, image(), "production"),
    }
    assert len({name, *others}) == 5


def test_the_recipe_is_another_after_any_of_its_files_changed(tmp_path: Path) -> None:
    files = {"app.py": "a", "requirements-onnx.lock": "b", "Dockerfile": "c"}
    others = {"README.md": "d", "requirements-sklearn.lock": "e"}
    for name, text in {**files, **others}.items():
        (tmp_path / name).write_text(text)
    before = recipe_digest(tmp_path, "onnx")
    for name in others:
        (tmp_path / name).write_text("other")
    assert recipe_digest(tmp_path, "onnx") == before
    for name, text in files.items():
        (tmp_path / name).write_text("changed")
        assert recipe_digest(tmp_path, "onnx") != before
        (tmp_path / name).write_text(text)
    (tmp_path / "more.py").write_text("")
    assert recipe_digest(tmp_path, "onnx") != before


def test_wheels_are_chosen_for_the_image_not_for_this_machine() -> None:
    found = Interpreter.from_probe("3 11 aarch64 2.36\n")
    assert (found.major, found.minor) == (3, 11)
    assert found.platforms[0] == "manylinux_2_36_aarch64"
    assert "manylinux_2_17_aarch64" in found.platforms
    assert "manylinux2014_aarch64" in found.platforms
    assert "manylinux_2_37_aarch64" not in found.platforms


@pytest.mark.parametrize("said", ["", "3 11 x86_64 0.0", "sh: python3: not found", "3 11 x86_64"])
def test_a_base_without_python_or_glibc_is_refused(said: str) -> None:
    with pytest.raises(ArtifactRefused, match="EVERGREEN_BASE_IMAGE"):
        Interpreter.from_probe(said)


class EngineWithoutImages:
    """An engine that has no image and can pull none."""

    def inspect_image(self, name: str) -> Any:
        from docker.errors import ImageNotFound
        from requests import Response

        response = Response()
        response.status_code = 404
        raise ImageNotFound(f"no such image: {name}", response=response)

    def images(self, **_: Any) -> list[Any]:
        return []

    def pull(self, _: str) -> None:
        from docker.errors import APIError
        from requests import Response

        response = Response()
        response.status_code = 500
        raise APIError("500", response=response, explanation="dial tcp: no such host")


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [("", r"makes evergreen/base:bookworm with docker/base/build\.sh"), ("own:1", "names it")],
)
def test_no_base_image_says_what_to_do(wanted: str, hint: str, tmp_path: Path) -> None:
    from include.evergreen.adapters.runtime.docker_images import ServingImages

    environ = {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_BASE_IMAGE": wanted}
    images = ServingImages(evergreen_settings.load(environ), EngineWithoutImages())
    with pytest.raises(Unavailable, match=hint):
        images.serving("onnx")


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("", r"makes evergreen/gateway:bookworm with docker/gateway/build\.sh"),
        ("own:1", "names it"),
    ],
)
def test_no_gateway_image_says_what_to_do(wanted: str, hint: str, tmp_path: Path) -> None:
    from include.evergreen.adapters.runtime.docker_images import ServingImages

    environ = {"EVERGREEN_HOME": str(tmp_path), "EVERGREEN_GATEWAY_IMAGE": wanted}
    images = ServingImages(evergreen_settings.load(environ), EngineWithoutImages())
    with pytest.raises(Unavailable, match=f"No gateway image: .*{hint}"):
        images.gateway()
