"""Decides what becomes of a file as a whole, once its rows were counted. Pure: counts in, words.

Bad rows are set aside one by one; this is about what no single row shows: a column that is all
missing, a category without end, a file that is mostly a repetition of itself, or one of which so
much is bad that the source must be broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class FileTally:
    """What was counted in one file. `nulls` counts missing values, not unreadable ones."""

    rows: int
    bad_rows: int
    duplicate_rows: int
    nulls: Mapping[str, int]
    categories: Mapping[str, int]
    mixed_zones: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileBounds:
    """What the contract allows. `null_shares` names the columns that may be missing at times."""

    max_quarantined_share: float
    max_duplicate_share: float
    max_categories: int
    null_shares: Mapping[str, float]


@dataclass(frozen=True)
class FileVerdict:
    """`append`: the good rows are taken. `quarantine`: the file is put aside whole. `stop`: so
    much of it is bad that somebody must be told.
    """

    state: Literal["append", "quarantine", "stop"]
    rule: str = ""
    reason: str = ""


def judge_file(tally: FileTally, bounds: FileBounds) -> FileVerdict:
    """The first rule that speaks against the file, from the plainest on; else `append`."""
    if tally.rows == 0:
        return FileVerdict("quarantine", "empty", "The file has a header and no rows.")
    for name, count in tally.categories.items():
        if count > bounds.max_categories:
            return _too_many_categories(name, bounds)
    if tally.mixed_zones:
        names = ", ".join(tally.mixed_zones[:10])
        return FileVerdict(
            "quarantine",
            "mixed_zones",
            f"Times of {names} are written with a zone in some rows and without in others. Write "
            "all with one, or none (then data.time_zone says which it is).",
        )
    missing = _missing_columns(tally, bounds)
    if missing:
        return missing
    return _shares(tally, bounds)


def _too_many_categories(name: str, bounds: FileBounds) -> FileVerdict:
    return FileVerdict(
        "quarantine",
        "too_many_categories",
        f"Column '{name}' has more than {bounds.max_categories:,} different values, the most "
        "data.limits.max_categories allows. Is it an identifier? Then leave it out of "
        "data.columns.",
    )


def _missing_columns(tally: FileTally, bounds: FileBounds) -> FileVerdict | None:
    for name, nulls in tally.nulls.items():
        allowed = bounds.null_shares.get(name, 0.0)
        if nulls == tally.rows and allowed < 1:
            return FileVerdict(
                "quarantine", "all_null", f"Column '{name}' is missing in all {tally.rows:,} rows."
            )
    for name, allowed in bounds.null_shares.items():
        nulls = tally.nulls.get(name, 0)
        if nulls > allowed * tally.rows:
            return FileVerdict(
                "quarantine",
                "null_share",
                f"Column '{name}' has {nulls:,} nulls in {tally.rows:,} rows "
                f"({nulls / tally.rows:.2%}); the contract allows {allowed:.2%}. Fix the source, "
                "or raise max_null_share and replay quarantine.",
            )
    return None


def _shares(tally: FileTally, bounds: FileBounds) -> FileVerdict:
    bad_share = tally.bad_rows / tally.rows
    if bad_share > bounds.max_quarantined_share:
        return FileVerdict(
            "stop",
            "quarantined_share",
            f"{tally.bad_rows:,} of {tally.rows:,} rows ({bad_share:.1%}) break the contract; "
            f"data.limits.max_quarantined_share allows {bounds.max_quarantined_share:.1%}. "
            "Nothing of the file was taken. Fix the source, or mend the contract and replay "
            "quarantine.",
        )
    duplicate_share = tally.duplicate_rows / tally.rows
    if duplicate_share > bounds.max_duplicate_share:
        return FileVerdict(
            "quarantine",
            "duplicate_rows",
            f"{tally.duplicate_rows:,} of {tally.rows:,} rows ({duplicate_share:.1%}) repeat "
            "an earlier row; data.limits.max_duplicate_share allows "
            f"{bounds.max_duplicate_share:.1%}.",
        )
    return FileVerdict("append")
