"""Counts over all batches of one file, in memory that does not grow with the file."""

from __future__ import annotations

import polars as pl

from include.evergreen.policy.quarantine import FileTally
from include.evergreen.stages.ingest.row_contract import Split

#: Hashes of rows kept to count the distinct ones. A file with more rows than this is counted on a
#: sample of the hash space, halved as often as needed: the error stays near 0.2%.
_KEPT = 500_000


class Tally:
    """Adds up what `policy.quarantine.judge_file` wants to know of a file."""

    def __init__(self, max_categories: int) -> None:
        self._max_categories = max_categories
        self._rows = 0
        self._bad_rows = 0
        self._nulls: dict[str, int] = {}
        self._zones: dict[str, set[bool]] = {}
        self._categories: dict[str, set[str | int]] = {}
        self._distinct = DistinctRows(_KEPT)

    def add(self, raw: pl.DataFrame, split: Split, bad_lines: int) -> None:
        """Count one batch. `raw`: its rows without their numbers."""
        self._rows += raw.height + bad_lines
        self._bad_rows += split.bad.height + bad_lines
        for name, nulls in split.nulls.items():
            self._nulls[name] = self._nulls.get(name, 0) + nulls
        for name, seen in split.zones.items():
            self._zones.setdefault(name, set()).update(seen)
        for name, values in split.categories.items():
            known = self._categories.setdefault(name, set())
            if len(known) <= self._max_categories:
                known.update(values.head(self._max_categories * 2 + 1).to_list())
        self._distinct.add(raw.hash_rows(), bad_lines)

    @property
    def is_hopeless(self) -> bool:
        """Whether the verdict is clear already: reading on would change nothing."""
        return any(len(known) > self._max_categories for known in self._categories.values())

    def result(self, optional: set[str]) -> FileTally:
        """The counts; `optional` columns may be missing throughout."""
        return FileTally(
            rows=self._rows,
            bad_rows=self._bad_rows,
            duplicate_rows=self._distinct.repeated(),
            nulls={name: n for name, n in self._nulls.items() if name not in optional},
            categories={name: len(known) for name, known in self._categories.items()},
            mixed_zones=tuple(name for name, seen in self._zones.items() if len(seen) > 1),
        )


class DistinctRows:
    """How many rows repeat an earlier one: exact up to `kept` distinct rows, then estimated."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._share = 1
        self._rows = 0
        self._others = 0
        self._seen = pl.Series("hash", [], dtype=pl.UInt64)
        self._waiting: list[pl.Series] = []
        self._waiting_rows = 0

    def add(self, hashes: pl.Series, others: int = 0) -> None:
        """Take the hashes of some rows; `others` are rows that are taken to be distinct."""
        self._rows += len(hashes)
        self._others += others
        sample = hashes.filter(hashes % self._share == 0) if self._share > 1 else hashes
        self._waiting.append(sample.alias("hash"))
        self._waiting_rows += len(sample)
        if self._waiting_rows > self._kept:
            self._merge()

    def _merge(self) -> None:
        self._seen = pl.concat([self._seen, *self._waiting]).unique()
        self._waiting, self._waiting_rows = [], 0
        while len(self._seen) > self._kept:
            self._share *= 2
            self._seen = self._seen.filter(self._seen % self._share == 0)

    def repeated(self) -> int:
        """Rows that are not the first of their kind."""
        self._merge()
        return max(0, self._rows - len(self._seen) * self._share)
