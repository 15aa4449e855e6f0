"""Makes any evidence plain JSON: no NaN, no numpy, no dates, nothing a reader chokes on."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any, digits: int = 6) -> Any:
    """The same in JSON's own types: floats to so many significant digits, None for no number."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): plain(each, digits) for name, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(each, digits) for each in value]
    return str(value)
