"""Finds the rows of a file that the lake has already, so that a row is taken in once.

A file is known by its content and by its address. The same content under another contract, or
replayed: rows whose number is there. Another content at the same address, a mended file or one
that somebody appends to: rows equal to one that came from there, as often as they came.
"""

from __future__ import annotations

import polars as pl

from include.evergreen.stages.ingest.raw_batch import ROW_NUMBER

_DIGEST, _URI = "_file_digest", "_file_uri"


class KnownRows:
    """The rows the lake holds of one file. `drop` gives back what is new of a batch."""

    def __init__(
        self, table: pl.LazyFrame | None, digest: str, uri: str, *, by_address: bool
    ) -> None:
        self._numbers = pl.Series(ROW_NUMBER, [], dtype=pl.Int64)
        self._left: pl.DataFrame | None = None
        self._columns: list[str] = []
        if table is None:
            return
        here = table.filter(pl.col(_DIGEST) == digest).select(ROW_NUMBER)
        self._numbers = here.collect(engine="streaming").to_series()
        if by_address:
            earlier = table.filter((pl.col(_URI) == uri) & (pl.col(_DIGEST) != digest))
            self._count(earlier)

    def _count(self, earlier: pl.LazyFrame) -> None:
        names = earlier.collect_schema().names()
        self._columns = sorted(name for name in names if not name.startswith("_"))
        hashes = [
            frame.select(self._columns).hash_rows().alias("hash").to_frame()
            for frame in earlier.select(self._columns).collect_batches()
        ]
        if hashes:
            left = pl.concat(hashes).group_by("hash").len("left")
            self._left = left if left.height else None

    def drop(self, good: pl.DataFrame) -> pl.DataFrame:
        """The rows of a batch that the lake does not hold. Batches come in the file's order."""
        if len(self._numbers):
            good = good.filter(~pl.col(ROW_NUMBER).is_in(self._numbers.implode()))
        if self._left is None or good.is_empty():
            return good
        shared = [name for name in self._columns if name in good.columns]
        if shared != self._columns:
            return good  # the contract lost a column since: no row can be compared
        hashes = good.select(shared).hash_rows().alias("hash")
        nth = pl.col("hash").cum_count().over("hash")
        marked = (
            hashes.to_frame()
            .with_columns(nth.alias("nth"))
            .join(self._left, on="hash", how="left", maintain_order="left")
        )
        known = (marked["nth"] <= marked["left"]).fill_null(value=False)
        used = marked.filter(known).group_by("hash").len("used")
        self._left = self._left.join(used, on="hash", how="left").select(
            "hash", pl.col("left") - pl.col("used").fill_null(0)
        )
        return good.filter(~known)
