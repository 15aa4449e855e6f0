"""Puts what tasks write locally on a disk of 64 MB, and fills that to the brim for a while.

On it lie the work folder (copies of files, fetched bundles, trainings under way), the studies, and
the ledger where it is SQLite.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from pathlib import Path

MIB = 64
_HELD = ("work", "studies")
_PIECE = b"\0" * 65_536


class SmallDisk:
    """A tmpfs at `home/small`, with the folders of the home that lie on it bound to their places.

    Mounting needs root: without it `mounted` is False, and the folders are ordinary ones.
    """

    def __init__(self, home: Path) -> None:
        self.root = home / "small"
        self.root.mkdir(parents=True)
        self.mounted = os.geteuid() == 0
        self._mounts: list[Path] = []
        if not self.mounted:
            return
        self._mount(self.root, "-t", "tmpfs", "-o", f"size={MIB}m", "tmpfs")
        for name in _HELD:
            inside, place = self.root / name, home / name
            inside.mkdir()
            place.mkdir()
            self._mount(place, "--bind", str(inside))

    def _mount(self, place: Path, *how: str) -> None:
        subprocess.run(["mount", *how, str(place)], check=True)
        self._mounts.append(place)

    def fill(self, seconds: float) -> dict[str, int]:
        """Leave no byte free for so long, whatever others remove meanwhile; then give it back."""
        ballast = self.root / "ballast"
        written = 0
        deadline = time.monotonic() + seconds
        try:
            with ballast.open("ab", buffering=0) as file:
                while time.monotonic() < deadline:
                    written += self._top_up(file.fileno())
                    time.sleep(0.05)
        finally:
            ballast.unlink()
        return {"ballast_bytes": written}

    @staticmethod
    def _top_up(descriptor: int) -> int:
        written = 0
        for piece in (_PIECE, b"\0" * 512):
            try:
                while True:
                    written += os.write(descriptor, piece)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        return written

    def used_bytes(self) -> int:
        seen = os.statvfs(self.root)
        return (seen.f_blocks - seen.f_bfree) * seen.f_frsize

    def close(self) -> None:
        for place in reversed(self._mounts):
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["umount", "-l", str(place)], check=True)
