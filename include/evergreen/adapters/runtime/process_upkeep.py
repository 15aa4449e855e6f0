"""What keeping house needs where services are plain processes: the folders of their versions."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path

from include.evergreen.adapters.runtime.interface import StoredImage
from include.evergreen.contracts import RunningService
from include.evergreen.disk import folders_in
from include.evergreen.effects import effect, read
from include.evergreen.errors import LedgerConflict
from include.evergreen.settings import Settings

_FOLDER = re.compile(r"^v(\d+)-[0-9a-f]{12}$")


class FolderUpkeep:
    """Lists and removes what lies under `settings.services_dir`."""

    _settings: Settings

    @read
    def started_at(self, service: RunningService) -> dt.datetime | None:
        """See `Runtime`."""
        stamps = [
            path.stat().st_mtime
            for order_file in self._orders(service)
            for path in (order_file, order_file.with_suffix(".pid"))
            if path.is_file()
        ]
        return dt.datetime.fromtimestamp(max(stamps), dt.UTC) if stamps else None

    @read
    def images(self) -> list[StoredImage]:
        """See `Runtime`."""
        found = []
        services = self._settings.services_dir
        for model in sorted(services.iterdir()) if services.is_dir() else ():
            for folder, made_at in folders_in(model).items():
                name = _FOLDER.match(folder.name)
                if name is not None:
                    version = int(name[1])
                    image = StoredImage(str(folder), "", model.name, version, made_at, ours=True)
                    found.append(image)
        return found

    @effect
    def discard(self, reference: str) -> None:
        """See `Runtime`.

        Raises:
            LedgerConflict: a service is on record in it; that is removed first.
        """
        folder = Path(reference)
        if folder.parent.parent != self._settings.services_dir:
            raise LedgerConflict(f"{folder} is no folder of a version of this installation.")
        if any(folder.glob("*.json")):
            raise LedgerConflict(f"{folder} has a service on record; remove that first.")
        if folder.is_dir():
            shutil.rmtree(folder)

    @read
    def networks(self) -> dict[str, tuple[dt.datetime, int]]:
        """See `Runtime`: processes have none."""
        return {}

    @effect
    def remove_network(self, name: str) -> None:
        """See `Runtime`."""

    def _orders(self, service: RunningService) -> list[Path]:
        raise NotImplementedError
