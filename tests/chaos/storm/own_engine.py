"""A container engine that only one test uses, and may therefore stop, kill and start again."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from docker.errors import DockerException

import docker
from include.evergreen import settings as evergreen_settings
from include.evergreen.adapters.runtime.docker_images import (
    KINDS,
    OFFICIAL_BASE,
    OFFICIAL_GATEWAY,
    RECIPE_LABEL,
    SERVING_DIR,
    STAND_IN_BASE,
    STAND_IN_GATEWAY,
    ServingImages,
    recipe_digest,
)

_START_S = 60
#: How many such engines a machine can have at a time.
_MOST = 8
#: Each has a bridge of its own: told to have none, dockerd takes away docker0, which the machine's
#: own engine needs, and told of address pools it does so at each restart. The gateway publishes its
#: ports on loopback through the engine's own proxy, so it needs no firewall rules of its own; the
#: other engine's would drop what goes from gateway to service, see `_let_bridged_through`.
#: Packets that stay on one bridge.
_BRIDGED = ("FORWARD", "--match", "physdev", "--physdev-is-bridged")
_OPTIONS = (
    *("--iptables=false", "--ip6tables=false", "--ip-masq=false"),
    *("--containerd-namespace", "evergreen-storm"),
    *("--containerd-plugins-namespace", "evergreen-storm-plugins"),
)


class OwnEngine:
    """Has the images that serving is made of, and nothing else."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="evergreen-engine-"))  # a socket's path is short
        self.url = f"unix://{self.folder / 'docker.sock'}"
        self.down = threading.Event()
        self._bridge = _made_bridge()
        self._firewall = _let_bridged_through(self._bridge)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        folder = self.folder
        with (folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("dockerd", "--host", self.url, "--pidfile", str(folder / "pid")),
                    *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
                    *(f"--bridge={self._bridge}", *_OPTIONS),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd does not start:\n{self._log()}")
            time.sleep(0.1)
        self.down.clear()

    def load(self) -> None:
        """Take over base and gateway image of the machine's engine, without a registry, and the
        serving images that are there; the others are built here.
        """
        theirs = docker.APIClient(timeout=300)
        bases = [os.environ.get(f"EVERGREEN_{kind}_IMAGE") for kind in ("BASE", "GATEWAY")]
        bases += [OFFICIAL_BASE, STAND_IN_BASE, OFFICIAL_GATEWAY, STAND_IN_GATEWAY]
        wanted = [tag for base in bases if base for tag in _tags(theirs.images(base))]
        for kind in KINDS:
            recipe = f"{RECIPE_LABEL}={recipe_digest(SERVING_DIR, kind)}"
            wanted += _tags(theirs.images(filters={"label": recipe}))
        command = ["docker", "save", *wanted]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "--host", self.url, "load", "--quiet"],
                stdin=save.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )

        settings = evergreen_settings.load({"EVERGREEN_HOME": str(self.folder / "home")})
        images = ServingImages(settings, docker.APIClient(base_url=self.url, timeout=300))
        images.gateway()
        for kind in KINDS:
            images.serving(kind)

    def restart(self, *, kill: bool, after_s: float) -> None:
        """End it, with SIGKILL or in order, and start it later; containers come back as told to."""
        self.down.set()
        assert self._process is not None
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait(60)
        (self.folder / "pid").unlink(missing_ok=True)
        self._end_containerd()
        time.sleep(after_s)
        self.start()

    def _end_containerd(self) -> None:
        """What a killed engine leaves of it; where nobody reaps it, the next waits for a zombie."""
        noted = self.folder / "exec" / "containerd" / "containerd.pid"
        with contextlib.suppress(psutil.Error, OSError, ValueError):
            found = psutil.Process(int(noted.read_text()))
            if str(self.folder) in " ".join(found.cmdline()):
                found.kill()
                found.wait(10)
        noted.unlink(missing_ok=True)

    def _answers(self) -> bool:
        with contextlib.suppress(DockerException, OSError):
            return bool(docker.APIClient(base_url=self.url, timeout=5).ping())
        return False

    def _log(self) -> str:
        return "\n".join((self.folder / "dockerd.log").read_text().splitlines()[-20:])

    def close(self) -> None:
        """No container, no process and no file of it is left."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(DockerException, OSError):
                client = docker.APIClient(base_url=self.url, timeout=30)
                for container in client.containers(all=True):
                    client.remove_container(container["Id"], force=True)
                client.prune_networks()  # their bridges would outlive the engine
            self._process.terminate()
            self._process.wait(60)
        self._unmount()
        subprocess.run(["ip", "link", "delete", self._bridge], check=False)
        if self._firewall:
            subprocess.run(["iptables", "--delete", *self._firewall], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unmount(self) -> None:
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in sorted((m for m in mounts if m.startswith(str(self.folder))), reverse=True):
            subprocess.run(["umount", "-l", place], check=False)


def _made_bridge() -> str:
    """The name of a bridge that nobody else has: the kernel lets one of two make it."""
    for number in range(_MOST):
        bridge = f"evergreen-eng{number}"
        made = subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=False)
        if made.returncode == 0:
            address = f"10.213.{254 - number}.1/24"
            subprocess.run(["ip", "address", "add", address, "dev", bridge], check=True)
            subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
            return bridge
    raise RuntimeError(f"{_MOST} bridges evergreen-eng* are there: no other engine is begun")


def _let_bridged_through(name: str) -> list[str]:
    """The rule, ours by its comment, that lets containers on one bridge talk to each other.

    The machine's own engine has the kernel drop what it forwards, bridged packets too, unless a
    rule of its own allows it, and it knows only its own bridges. Empty where nothing filters them.
    """
    filtered = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not filtered.exists() or filtered.read_text().strip() == "0":
        return []
    rule = [*_BRIDGED, "--match", "comment", "--comment", name, "--jump", "ACCEPT"]
    subprocess.run(["iptables", "--insert", *rule], check=True)
    return rule


def _tags(images: list[dict[str, Any]]) -> list[str]:
    return [tag for image in images for tag in image.get("RepoTags") or ()]


def missing() -> str:
    """Why no engine of one's own can be had here; empty where it can."""
    if os.geteuid() != 0:
        return "dockerd needs root"
    for command in ("dockerd", "ip", "iptables"):
        if shutil.which(command) is None:
            return f"{command} is not installed"
    try:
        docker.APIClient(timeout=10).ping()
    except (DockerException, OSError) as error:
        return f"no engine to take the base image from: {error}"
    return ""
