"""What was done to an installation and when, one JSON line each, kept as it happens."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from pathlib import Path
from typing import Any


class History:
    """Appends to a file from any thread; `at_s` counts from the first line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def now_s(self) -> float:
        return time.monotonic() - self._began

    def note(self, what: str, **details: Any) -> None:
        line = {
            "at_s": round(self.now_s(), 2),
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            "what": what,
            **details,
        }
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")
