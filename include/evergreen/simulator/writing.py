"""Puts simulated rows into a file the way a careful sender does: whole, or not at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl

from include.evergreen.simulator import bike, electricity

_ROLES = {
    "bike_demand": (bike.KEY, bike.TARGET),
    "electricity": (electricity.KEY, electricity.TARGET),
}


def labels_of(frame: pl.DataFrame, model: str) -> pl.DataFrame:
    """The key and the target of each row: what arrives in `data.labels.landing` later."""
    if model not in _ROLES:
        raise ValueError(f"No simulator for {model!r}; there is one for {', '.join(_ROLES)}.")
    return frame.select(_ROLES[model])


def write_csv(frame: pl.DataFrame, path: Path) -> Path:
    """Write a CSV (gzipped if the name ends in .gz) under a hidden name, then rename it.

    The same rows give the same bytes, so the same file is recognised when it lands again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    content = frame.write_csv().encode()
    partial.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    partial.replace(path)
    return path
