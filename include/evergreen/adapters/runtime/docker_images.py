"""Images by content: a serving image once per lock, app and base; one thin layer per version.

There are two: one with ONNX Runtime, and a larger one with scikit-learn for the models that ONNX
cannot stand for. Building a version needs no network, and says so to the engine (`network_mode:
none`). The names of images are digests of what went into them, so an image that is there is the
right one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from include.evergreen.adapters.runtime.docker_engine import engine_errors, unless_gone
from include.evergreen.adapters.runtime.interface import INSTALLATION
from include.evergreen.adapters.runtime.wheels import PROBE, Interpreter, download_wheels
from include.evergreen.contracts import BuiltImage
from include.evergreen.effects import effect, read
from include.evergreen.errors import ArtifactRefused, EvergreenError, Unavailable
from include.evergreen.fencing import still_ours
from include.evergreen.settings import PROJECT_ROOT, Settings

log = logging.getLogger(__name__)

SERVING_DIR = PROJECT_ROOT / "docker" / "serving"
OFFICIAL_BASE = "python:3.11-slim"
STAND_IN_BASE = "evergreen/base:bookworm"
OFFICIAL_GATEWAY = "haproxy:3.0"
STAND_IN_GATEWAY = "evergreen/gateway:bookworm"
RECIPE_LABEL = "evergreen.recipe"


#: What runs the estimator in an image.
Kind = Literal["onnx", "sklearn"]
KINDS: tuple[Kind, ...] = ("onnx", "sklearn")


def kind_of(bundle: Path) -> Kind:
    """Which image a bundle is served from."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    return "onnx" if str(manifest.get("estimator", "")).endswith(".onnx") else "sklearn"


def lock_of(folder: Path, kind: Kind) -> Path:
    return folder / f"requirements-{kind}.lock"


def recipe_files(folder: Path, kind: Kind) -> list[Path]:
    """What a serving image is made of: the app's modules, its lock and the Dockerfile."""
    return sorted([*folder.rglob("*.py"), lock_of(folder, kind), folder / "Dockerfile"])


def recipe_digest(folder: Path, kind: Kind) -> str:
    """sha256 over the names and contents of `recipe_files`."""
    digest = hashlib.sha256()
    for path in recipe_files(folder, kind):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def copy_readable(source: Path, target: Path) -> None:
    """Copy a tree so that any user may read it and only its owner may write."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


class ServingImages:
    """The images of one installation on one engine."""

    def __init__(self, settings: Settings, engine: Any, recipe: Path = SERVING_DIR) -> None:
        self._settings = settings
        self._recipe = recipe
        self._engine = engine

    @effect
    def serving(self, kind: Kind) -> str:
        """The reference of a serving image, built now if this recipe has none yet.

        Raises:
            Unavailable: no base image, or no wheels, can be had on this machine.
        """
        recipe = recipe_digest(self._recipe, kind)
        base = self._local_base()
        if base is None:
            built = self._any_of(recipe)
            if built is not None:
                return built
            base = self._pull_base()
        together = hashlib.sha256(f"{recipe}:{self._inspect(base)['Id']}".encode()).hexdigest()
        reference = f"evergreen/serving:{kind}-{together[:16]}"
        if self._inspect(reference) is None:
            log.info("Building the serving image %s on %s; this happens once.", reference, base)
            self._build_serving(reference, base, recipe, kind)
        return reference

    @effect
    def version(
        self, bundle: Path, *, model: str, version: int, manifest_digest: str, training_key: str
    ) -> BuiltImage:
        """The image of one version: the bundle, in a layer above the serving image of its kind."""
        serving = self.serving(kind_of(bundle))
        serving_id = self._inspect(serving)["Id"]
        content = hashlib.sha256(f"{serving_id}:{manifest_digest}".encode()).hexdigest()
        reference = f"evergreen/model:{model}-v{version}-{content[:12]}"
        if self._inspect(reference) is None:
            labels = {
                INSTALLATION: self._settings.installation_id,
                "evergreen.model": model,
                "evergreen.version": str(version),
                "evergreen.manifest": manifest_digest,
                "evergreen.training": training_key,
                "evergreen.serving": serving_id,
            }
            with self._context() as folder:
                copy_readable(bundle, Path(folder) / "bundle")
                shutil.copy(self._recipe / "version.Dockerfile", Path(folder) / "Dockerfile")
                self._build(folder, reference, {"SERVING_IMAGE": serving}, labels)
        digest = self._inspect(reference)["Id"]
        return BuiltImage(model, version, "docker", reference, digest, manifest_digest)

    @effect
    def gateway(self) -> str:
        """The id of an image with HAProxy: the one that the settings name, else one that is here.

        Raises:
            Unavailable: there is none, and none can be pulled.
        """
        wanted = self._settings.gateway_image
        names = (wanted,) if wanted else (OFFICIAL_GATEWAY, STAND_IN_GATEWAY)
        found = next(filter(None, map(self._inspect, names)), None)
        if found is None:
            otherwise = "EVERGREEN_GATEWAY_IMAGE names it: mend that, or load the image."
            if not wanted:
                otherwise = (
                    f"A machine that can pull no image makes {STAND_IN_GATEWAY} with "
                    "docker/gateway/build.sh (as root), or names one in EVERGREEN_GATEWAY_IMAGE."
                )
            self._pull(names[0], otherwise, what="gateway")
            found = self._inspect(names[0])
        return str(found["Id"])

    @read
    def has(self, image: BuiltImage) -> bool:
        found = self._inspect(image.reference)
        return found is not None and found["Id"] == image.digest

    def _local_base(self) -> str | None:
        wanted = self._settings.base_image
        if not wanted:
            bases = (OFFICIAL_BASE, STAND_IN_BASE)
            return next((base for base in bases if self._inspect(base) is not None), None)
        if self._inspect(wanted) is None:
            self._pull(wanted, "EVERGREEN_BASE_IMAGE names it: mend that, or load the image.")
        return wanted

    def _pull_base(self) -> str:
        self._pull(
            OFFICIAL_BASE,
            f"A machine that can pull no image makes {STAND_IN_BASE} with docker/base/build.sh "
            "(as root), or names an image it has in EVERGREEN_BASE_IMAGE.",
        )
        return OFFICIAL_BASE

    def _pull(self, reference: str, otherwise: str, what: str = "base") -> None:
        try:
            with engine_errors(f"pull {reference}"):
                self._engine.pull(reference)
        except EvergreenError as error:
            raise Unavailable(f"No {what} image: {error} {otherwise}") from error

    def _any_of(self, recipe: str) -> str | None:
        """A serving image of this recipe on whatever base, where the base itself was removed."""
        with engine_errors("list images"):
            found = self._engine.images(filters={"label": f"{RECIPE_LABEL}={recipe}"})
        tags = [tag for image in found for tag in image.get("RepoTags") or ()]
        return next((tag for tag in tags if tag.startswith("evergreen/serving:")), None)

    def _build_serving(self, reference: str, base: str, recipe: str, kind: Kind) -> None:
        interpreter = Interpreter.from_probe(self._run(base, ["python3", "-c", PROBE]))
        with self._context() as folder:
            context = Path(folder)
            (context / "wheels").mkdir()
            lock = lock_of(self._recipe, kind)
            download_wheels(lock, context / "wheels", interpreter)
            for path in recipe_files(self._recipe, kind):
                inside = path.relative_to(self._recipe)
                target = context / ("app" / inside if path.suffix == ".py" else inside)
                if path == lock:
                    target = context / "requirements.lock"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            for path in context.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
            build = uuid.uuid4().hex
            arguments = {"BASE_IMAGE": base, "BUILD": build}
            self._build(folder, reference, arguments, {RECIPE_LABEL: recipe})
        with engine_errors("remove the layers of the build stage"):
            for stage in self._engine.images(filters={"label": f"evergreen.build={build}"}):
                unless_gone(lambda: self._engine.remove_image(stage["Id"]))  # noqa: B023

    def _context(self) -> tempfile.TemporaryDirectory[str]:
        self._settings.work_dir.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=self._settings.work_dir, prefix="image-")

    def _build(
        self, folder: str, reference: str, arguments: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        still_ours()
        with engine_errors(f"build {reference}"):
            output = self._engine.build(
                path=folder,
                tag=reference,
                buildargs=dict(arguments),
                labels=dict(labels),
                network_mode="none",
                rm=True,
                forcerm=True,
                decode=True,
            )
            said: list[str] = []
            for part in output:
                if "error" in part:
                    last = "".join(said[-15:])
                    raise ArtifactRefused(
                        f"Building the image {reference} failed: {part['error']}\n{last}"
                    )
                said.append(part.get("stream", ""))

    def _run(self, image: str, command: list[str]) -> str:
        """What a command prints in a throw-away container of an image, without a network."""
        with engine_errors(f"run python3 in {image}"):
            made = self._engine.create_container(image, command, network_disabled=True)
            try:
                self._engine.start(made["Id"])
                self._engine.wait(made["Id"], timeout=60)
                return str(self._engine.logs(made["Id"]).decode())
            finally:
                unless_gone(lambda: self._engine.remove_container(made["Id"], force=True))

    def _inspect(self, reference: str) -> Any:
        """What the engine knows of an image; None if it has none of that name."""
        found: list[Any] = []
        with engine_errors(f"look at the image {reference}"):
            unless_gone(lambda: found.append(self._engine.inspect_image(reference)))
        return found[0] if found else None
