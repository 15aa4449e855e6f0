"""Lands files as senders do: whole, some with broken rows, some twice, their labels later."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tests.chaos.storm.history import History
from tests.chaos.storm.model import Laws
from tests.chaos.storm.plan import Landing

Put = Callable[[str, str, bytes], None]


@dataclass
class Expected:
    """What must be in the lake once all is quiet, and nothing else."""

    rides: set[str] = field(default_factory=set)
    labelled: set[str] = field(default_factory=set)
    broken: int = 0


class Deliveries:
    """Keeps count of what it landed. `put(zone, name, content)` lands a file whole."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self.laws = Laws()
        self.expected = Expected()

    def prepare(self, landing: Landing) -> list[tuple[float, str, str, bytes]]:
        """What is put when (seconds after the first), into which zone, under which name."""
        number = self.laws.batches
        frame = self.laws.batch()
        broken = pl.int_range(pl.len()) < landing.broken_rows
        weather = pl.when(broken).then(pl.lit("hail")).otherwise("weather").alias("weather")
        rows = frame.drop("minutes").with_columns(weather).write_csv().encode()
        labels = frame.select("ride", "minutes").write_csv().encode()
        self.expected.rides |= set(frame["ride"][landing.broken_rows :])
        self.expected.labelled |= set(frame["ride"])
        self.expected.broken += landing.broken_rows
        puts = [
            (0.0, "rows", f"rows-{number}.csv", rows),
            (landing.labels_s, "labels", f"labels-{number}.csv", labels),
        ]
        if landing.twin_s is not None:
            puts.append((landing.twin_s, "rows", f"again-{number}.csv", rows))
        return sorted(puts)

    def land(self, landing: Landing, history: History) -> None:
        """Put all of it, each at its time; returns when the last is there."""
        began = time.monotonic()
        for after_s, zone, name, content in self.prepare(landing):
            time.sleep(max(0.0, began + after_s - time.monotonic()))
            self._put(zone, name, content)
            history.note("landed", zone=zone, file=name, broken_rows=landing.broken_rows)


def into_folder(root: Path) -> Put:
    """Into a landing zone on disk, under a hidden name first."""

    def put(zone: str, name: str, content: bytes) -> None:
        folder = root / zone
        folder.mkdir(parents=True, exist_ok=True)
        hidden = folder / f".{name}.part"
        hidden.write_bytes(content)
        hidden.rename(folder / name)

    return put


def into_bucket(s3: Any, bucket: str, prefix: str) -> Put:
    """Into a landing zone on S3."""

    def put(zone: str, name: str, content: bytes) -> None:
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{zone}/{name}", Body=content)

    return put
