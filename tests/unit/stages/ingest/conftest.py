"""A model with a landing zone in a temporary home, and everything real behind it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from include.evergreen.contracts import FileOutcome, IngestReport
from include.evergreen.settings import Settings, load
from include.evergreen.spec import load_spec
from include.evergreen.stages.ingest import ingest
from include.evergreen.stages.resources import Resources

LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)  # everything has settled by then
HEADER = "k,when,size,count,color,flag,y"
SPEC: dict[str, Any] = {
    "model": "demo",
    "task": "regression",
    "data": {
        "landing": "landing/demo",
        "time": "when",
        "key": "k",
        "target": "y",
        "columns": {
            "size": {"type": "float", "min": 0, "max": 100, "max_null_share": 0.5},
            "count": {"type": "integer"},
            "color": {"type": "category", "values": ["red", "blue"]},
            "flag": {"type": "boolean"},
            "y": {"type": "float"},
        },
    },
    "training": {"metric": "rmse"},
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return result


class Zone:
    """Files landed, ingested, and what came of it. `data` changes the contract."""

    def __init__(self, settings: Settings, home: Path) -> None:
        self.settings = settings
        self.home = home
        self.directory = home / "landing" / "demo"
        self.directory.mkdir(parents=True)
        self.labels = home / "landing" / "labels"
        self.changes: dict[str, Any] = {}

    def contract(self, **data: Any) -> None:
        self.changes = merged(self.changes, data)

    @property
    def resources(self) -> Resources:
        path = self.home / "demo.yaml"
        path.write_text(yaml.safe_dump(merged(SPEC, {"data": self.changes}), sort_keys=False))
        return Resources(load_spec(path), self.settings)

    def land(self, name: str, content: str | bytes | list[str]) -> Path:
        path = self.directory / name
        if isinstance(content, list):
            content = "\n".join([HEADER, *content]) + "\n"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def land_labels(self, name: str, *lines: str) -> None:
        self.labels.mkdir(exist_ok=True)
        (self.labels / name).write_text("\n".join(lines) + "\n")

    def ingest(self, owner: str = "run") -> IngestReport:
        resources = self.resources
        files = ingest.discover_files(resources, now=LATER)
        return ingest.ingest_files(resources, files, owner=owner, now=LATER)

    def replay(self) -> IngestReport:
        return ingest.replay_quarantine(self.resources, owner="replay", now=LATER)

    def only(self) -> FileOutcome:
        (outcome,) = self.ingest().files
        return outcome

    def table(self, name: str = "rows") -> pl.DataFrame:
        lake = self.resources.lake
        if lake.version("demo", name) is None:
            return pl.DataFrame()
        return lake.scan("demo", name).sort("_batch", "_row_number").collect()

    @property
    def keys(self) -> list[str]:
        table = self.table()
        return table["k"].to_list() if table.width else []

    @property
    def bad(self) -> list[tuple[int | None, str | None, str]]:
        columns = "_row_number", "_column", "_rule"
        table = self.table("quarantine")
        return list(table.select(columns).iter_rows()) if table.width else []


def row(key: str, **values: str) -> str:
    usual = {"when": "2024-05-01", "size": "1.5", "count": "3", "color": "red", "flag": "true"}
    return ",".join([key, *(usual | {"y": f"{hash(key) % 97}"} | values).values()])


@pytest.fixture
def make_row() -> Callable[..., str]:
    return row


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    home = tmp_path / "home"
    settings = load({"EVERGREEN_HOME": str(home)})
    return Zone(dataclasses.replace(settings), home)
