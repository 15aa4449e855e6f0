"""The time by which a stage works."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """The clock a task runs by, unless it is given another."""
    return dt.datetime.now(dt.UTC)
