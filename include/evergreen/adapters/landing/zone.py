"""What every landing zone can do: list its files, open one, and copy one while hashing it."""

from __future__ import annotations

import abc
import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from include.evergreen.contracts import LandedFile
from include.evergreen.effects import effect, read

CHUNK_BYTES = 2**20
#: Names that say "not ready" or "not for you": hidden files, markers, uploads under way.
_HIDDEN = (".", "_")
_PARTIAL = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp", "~")


class ByteStream(Protocol):
    """The one thing needed of an open file."""

    def read(self, size: int, /) -> bytes: ...


def is_ignored(relative_name: str) -> bool:
    """Whether a name (or a folder in it) is hidden, a marker such as `_SUCCESS`, or partial."""
    parts = [part for part in relative_name.split("/") if part not in {"", ".", ".."}]
    return any(part.startswith(_HIDDEN) for part in parts) or relative_name.lower().endswith(
        _PARTIAL
    )


class Landing(abc.ABC):
    """A place where files land. `atomic`: a file there appears whole, and cannot grow."""

    uri: str
    atomic: bool

    @abc.abstractmethod
    @read
    def list(self) -> list[LandedFile]:
        """Every file, oldest first (then by address). What must not be opened is marked `refused`.

        Raises:
            FileUnreadable: the zone may not be listed.
        """

    @abc.abstractmethod
    @read
    def open_binary(self, file: LandedFile) -> AbstractContextManager[ByteStream]:
        """The bytes of a file that is still what was listed.

        Raises:
            FileUnreadable: no permission.
            FileChanged: it was replaced, is growing, or is gone.
        """

    @effect
    def download(self, file: LandedFile, to: Path) -> str:
        """Copy a file to `to`, readable to us alone; the sha256 (hex) of exactly what was written.

        What is parsed later is the copy, so a file swapped meanwhile changes nothing.
        """
        digest = hashlib.sha256()
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as copy, self.open_binary(file) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
        return digest.hexdigest()
