"""Services as plain local processes that outlive the task, where no container engine answers.

Less is promised than by a container: the same user, the same file system, memory limited by
RLIMIT_DATA, CPUs by the number of threads, the number of processes not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal, get_args

import psutil

from include.evergreen.adapters.runtime import detached
from include.evergreen.adapters.runtime.container_config import environment
from include.evergreen.adapters.runtime.docker_images import (
    SERVING_DIR,
    copy_readable,
    kind_of,
    recipe_digest,
)
from include.evergreen.adapters.runtime.interface import (
    Environment,
    ServiceOrder,
    ServiceState,
    free_port,
    service_name,
)
from include.evergreen.adapters.runtime.process_traffic import NoTraffic
from include.evergreen.adapters.runtime.process_upkeep import FolderUpkeep
from include.evergreen.contracts import BuiltImage, RunningService
from include.evergreen.effects import effect, read
from include.evergreen.errors import ArtifactRefused, Unavailable
from include.evergreen.fencing import still_ours
from include.evergreen.settings import Settings

log = logging.getLogger(__name__)

_SPAWN_TIMEOUT_S = 30
_CLOCK_STEP_S = 30  # a start time is read against a clock that may be set; the command line is not


class ProcessRuntime(NoTraffic, FolderUpkeep):
    """See `Runtime`. Everything of a version lies in one folder: bundle, app, record and log."""

    name: Literal["docker", "process"] = "process"

    def __init__(self, settings: Settings, recipe: Path = SERVING_DIR) -> None:
        self._settings = settings
        self._recipe = recipe

    @effect
    def prepare(self) -> None:
        """Nothing: the app runs on the libraries of this very environment."""

    @effect
    def build(
        self,
        bundle: Path,
        *,
        model: str,
        version: int,
        manifest_digest: str,
        training_key: str,  # noqa: ARG002 - a folder has no labels; the manifest names it
    ) -> BuiltImage:
        recipe = recipe_digest(self._recipe, kind_of(bundle))
        content = f"{recipe}:{sys.version}:{manifest_digest}"
        digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
        folder = self._settings.services_dir / model / f"v{version}-{digest[7:19]}"
        image = BuiltImage(model, version, "process", str(folder), digest, manifest_digest)
        if not self.has(image):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as name:
                made = Path(name) / "made"
                made.mkdir()
                copy_readable(bundle, made / "bundle")
                copy_readable(self._recipe, made / "app")
                still_ours()
                _put_in_place(made, folder)
        return image

    @read
    def has(self, image: BuiltImage) -> bool:
        manifest = Path(image.reference) / "bundle" / "manifest.json"
        if not manifest.is_file():
            return False
        return hashlib.sha256(manifest.read_bytes()).hexdigest() == image.manifest_digest

    @read
    def name_of(self, order: ServiceOrder) -> str:
        return service_name(self._settings, order.image, order.environment)

    @effect
    def start(self, order: ServiceOrder) -> RunningService:
        folder = Path(order.image.reference)
        if not self.has(order.image):
            raise ArtifactRefused(
                f"{folder} does not hold the bundle with manifest {order.image.manifest_digest}: "
                "run <model>.deploy by hand with this version to build it anew."
            )
        order_file = folder / f"{order.environment}.json"
        env = environment(order) | {
            "EVERGREEN_BUNDLE": str(folder / "bundle"),
            "EVERGREEN_SPOOL": str(order.spool),
        }
        known = _read(order_file)
        running = self._process(order_file)
        if running is not None:
            if known.get("env") == env:
                return self._service(order_file)
            still_ours()
            _end(running, grace_s=1)
        order.spool.mkdir(parents=True, exist_ok=True)
        port = free_port(known.get("port"))
        asked = {
            "name": self.name_of(order),
            "model": order.image.model,
            "environment": order.environment,
            "digest": order.image.digest,
            "spool": str(order.spool),
            "port": port,
            "env": env,
        }
        still_ours()
        order_file.with_suffix(".pid").unlink(missing_ok=True)
        _write(order_file, asked)
        self._spawn(order_file, env, order.limits.memory_mib * 2**20, port)
        return self._service(order_file)

    @read
    def is_published(self, service: RunningService) -> bool:
        return self.state(service) != "gone"

    @read
    def is_silent(self, _: RunningService) -> bool:
        return False  # there is no gateway that could ask another

    @read
    def state(self, service: RunningService) -> ServiceState:
        for order_file in self._orders(service):
            return "running" if self._process(order_file) else "stopped"
        return "gone"

    @effect
    def keep(self, service: RunningService) -> None:
        log.info(
            "%s is a plain process: after a restart the next deploy run starts it.", service.name
        )

    @effect
    def remove(self, service: RunningService, *, grace_s: float) -> None:
        self.stop(service, grace_s=grace_s)
        for order_file in self._orders(service):
            still_ours()
            order_file.with_suffix(".pid").unlink(missing_ok=True)
            order_file.unlink(missing_ok=True)

    @effect
    def stop(self, service: RunningService, *, grace_s: float) -> None:
        for order_file in self._orders(service):
            process = self._process(order_file)
            if process is not None:
                still_ours()
                _end(process, grace_s)

    @read
    def logs(self, service: RunningService, *, lines: int) -> str:
        for order_file in self._orders(service):
            path = order_file.with_suffix(".log")
            if path.is_file():
                said = path.read_text(encoding="utf-8", errors="replace")
                return "\n".join(said.splitlines()[-lines:])
        return ""

    @read
    def find(
        self, model: str | None = None, environment: Environment | None = None
    ) -> list[RunningService]:
        wanted = (environment,) if environment else get_args(Environment)
        found = [
            order_file
            for name in wanted
            for order_file in self._settings.services_dir.glob(f"{model or '*'}/v*/{name}.json")
        ]
        return [self._service(order_file) for order_file in sorted(found)]

    def _orders(self, service: RunningService) -> list[Path]:
        """The record of a service, if it is (still) there."""
        found = self._settings.services_dir.glob("*/v*/*.json")
        return [path for path in found if _read(path).get("name") == service.name]

    @effect
    def _spawn(self, order_file: Path, env: dict[str, str], memory: int, port: int) -> None:
        pid_file = order_file.with_suffix(".pid")
        app = order_file.parent / "app" / "app.py"
        program = [sys.executable, str(app), "--host", "127.0.0.1", "--port", str(port)]
        launcher = [sys.executable, "-I", "-S", detached.__file__, str(pid_file)]
        launcher += [str(order_file.with_suffix(".log")), str(memory), *program]
        # What this process knows (Airflow's secrets among it) is none of the model's business.
        kept = {
            key: os.environ[key] for key in ("PATH", "LANG", "TZ", "TMPDIR") if key in os.environ
        }
        still_ours()
        subprocess.run(  # noqa: S603 - our own launcher, no shell
            launcher,
            env=kept | {"PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1"} | env,
            cwd=order_file.parent,
            check=True,
            timeout=_SPAWN_TIMEOUT_S,
        )
        deadline = time.monotonic() + _SPAWN_TIMEOUT_S
        while not pid_file.exists():
            if time.monotonic() > deadline:
                raise Unavailable(f"{app} did not start within {_SPAWN_TIMEOUT_S} s.")
            time.sleep(0.01)

    def _process(self, order_file: Path) -> psutil.Process | None:
        """The running process of a record; a pid that somebody else has by now is not it."""
        known = _read(order_file.with_suffix(".pid"))
        if not known:
            return None
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process = psutil.Process(known["pid"])
            ours = str(order_file.parent) in " ".join(process.cmdline())
            if ours and abs(process.create_time() - known["started_at"]) < _CLOCK_STEP_S:
                return process
        return None

    def _service(self, order_file: Path) -> RunningService:
        asked = _read(order_file)
        known = _read(order_file.with_suffix(".pid"))
        return RunningService(
            service_id=f"{known.get('pid', 0)}:{known.get('started_at', 0):.2f}",
            name=asked["name"],
            runtime="process",
            endpoint=f"http://127.0.0.1:{asked['port']}",
            image_digest=asked["digest"],
            spool=asked["spool"],
        )


@effect
def _put_in_place(made: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)


@effect
def _end(process: psutil.Process, grace_s: float) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(grace_s)
        except psutil.TimeoutExpired:
            log.warning(
                "Process %d did not end within %g s of SIGTERM: SIGKILL.", process.pid, grace_s
            )
            process.kill()
            process.wait(_SPAWN_TIMEOUT_S)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(document)


@effect
def _write(path: Path, document: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".writing")
    unfinished.write_text(json.dumps(document, indent=1), encoding="utf-8")
    unfinished.replace(path)
