"""The wheels of a lock file, downloaded on this machine for the interpreter of an image.

Only here is an index asked, with this machine's own pip configuration (mirror, CA, proxy), of
which nothing reaches the image. Hashes are checked on download and again on installation.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from include.evergreen.effects import read
from include.evergreen.errors import ArtifactRefused, Unavailable

#: Printed by the interpreter of an image: its version, machine and C library.
PROBE = (
    "import platform as p, sys;print(*sys.version_info[:2], p.machine(), p.libc_ver()[1] or '0.0')"
)
OLDEST_GLIBC = 17  # manylinux2014; wheels for an older one carry that tag as well
_TIMEOUT_S = 900


@dataclass(frozen=True)
class Interpreter:
    """What decides which wheels fit. `glibc_minor` of glibc 2.36 is 36."""

    major: int
    minor: int
    machine: str
    glibc_minor: int

    @classmethod
    @read
    def from_probe(cls, output: str) -> Interpreter:
        """Read what `PROBE` printed.

        Raises:
            ArtifactRefused: it printed something else, or is built on another C library.
        """
        seen = re.fullmatch(r"(\d+) (\d+) (\S+) 2\.(\d+)", output.strip())
        if seen is None:
            raise ArtifactRefused(
                f"The base image's python3 said {output.strip()[:200]!r}; wanted: a version, a "
                "machine and glibc 2.x. Name another image in EVERGREEN_BASE_IMAGE."
            )
        return cls(int(seen[1]), int(seen[2]), seen[3], int(seen[4]))

    @property
    def platforms(self) -> list[str]:
        """Every platform tag whose wheels run here, newest first."""
        newest = range(self.glibc_minor, OLDEST_GLIBC - 1, -1)
        older = ("manylinux2014", "manylinux2010", "manylinux1", "linux")
        names = [f"manylinux_2_{minor}" for minor in newest] + list(older)
        return [f"{name}_{self.machine}" for name in names]


def download_wheels(lock: Path, folder: Path, interpreter: Interpreter) -> None:
    """Fill `folder` with the wheels of `lock`.

    Raises:
        Unavailable: no index had them all; the message holds pip's own last lines.
    """
    version = f"{interpreter.major}.{interpreter.minor}"
    abi = f"cp{interpreter.major}{interpreter.minor}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "--python-version", version]
    command += ["--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none"]
    for platform in interpreter.platforms:
        command += ["--platform", platform]
    command += ["--dest", str(folder), "--requirement", str(lock)]
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments, no shell
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"pip did not finish downloading the serving wheels in {_TIMEOUT_S} s."
        ) from error
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise Unavailable(
            f"pip could not download the wheels of {lock.name} for Python {version} on "
            f"{interpreter.machine}:\n{last}\nThe serving image needs them once: see that pip "
            "reaches its index, or build the image where it does."
        )
