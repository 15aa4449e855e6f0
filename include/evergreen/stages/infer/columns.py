"""Says of each column what it holds: its type, range, values, null share, and if it is any use."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import polars as pl

from include.evergreen.spec.rules_data import RESERVED_COLUMNS
from include.evergreen.stages.ingest.read_values import MISSING_TEXTS

Kind = Literal["float", "integer", "boolean", "category", "timestamp", "unusable"]
MAX_VALUES = 250
MAX_NAME = 128
_MOST_NULL = 0.95
_EXACT_INTEGER = 2**53
_LARGEST = 1e37  # features are float32
FIRST_YEAR, LAST_YEAR = 1900, 2199
_SEQUENCE_FROM = 20
_INTEGER = r"^[-+]?(?:0|[1-9]\d{0,18})$"
_FLOAT = r"^[-+]?(?:0|[1-9]\d*)?(?:\.\d*)?(?:[eE][-+]?\d+)?$"
_BOOLEAN = r"(?i)^(?:true|false)$"
_TIME = r"^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[-+]\d\d:?\d\d)?)?$"
_ID_NAME = re.compile(
    r"(?i)(?:^|[_\s.-])(?:id|ids|uuid|guid|key|index|instant|rowid|row)$|^unnamed"
)


@dataclass(frozen=True)
class Facts:
    """What one column holds; `series` is it, typed. `why_not`: why it is no use, or ''."""

    name: str
    kind: Kind
    series: pl.Series
    null_share: float
    n_unique: int
    null_markers: tuple[str, ...] = ()
    why_not: str = ""

    @property
    def unique(self) -> bool:
        return self.null_share == 0 and self.n_unique == len(self.series)

    @property
    def counts_up(self) -> bool:
        """Whether the column just numbers the rows."""
        if self.kind != "integer" or not self.unique or len(self.series) < _SEQUENCE_FROM:
            return False
        return bool((self.series.diff().drop_nulls() == 1).all())

    @property
    def named_like_an_id(self) -> bool:
        return bool(_ID_NAME.search(self.name))

    @property
    def values(self) -> list[str | int]:
        """The distinct values, sorted."""
        return self.series.drop_nulls().unique().sort().to_list()


def look_at(series: pl.Series) -> Facts:
    """The facts of one raw column, text or typed."""
    kind, typed, markers = _typed(series)
    n_unique = typed.drop_nulls().n_unique() if kind != "unusable" else 0
    null_share = typed.null_count() / len(typed)
    facts = Facts(series.name, kind, typed, null_share, n_unique, markers)
    return Facts(series.name, kind, typed, null_share, n_unique, markers, _why_not(facts))


def _typed(series: pl.Series) -> tuple[Kind, pl.Series, tuple[str, ...]]:
    kind = series.dtype
    if kind.is_integer():
        return _integer(series)
    if kind.is_float() or kind.is_decimal():
        return "float", series.cast(pl.Float64).fill_nan(None), ()
    if kind == pl.Boolean:
        return "boolean", series, ()
    if kind in {pl.Date, pl.Datetime}:
        return "timestamp", series.cast(pl.Datetime("us")), ()
    if kind in {pl.String, pl.Categorical, pl.Enum}:
        return _read_text(series.cast(pl.String))
    return "unusable", series, ()


def _integer(series: pl.Series) -> tuple[Kind, pl.Series, tuple[str, ...]]:
    wide = series.cast(pl.Int64, strict=False)
    if wide.null_count() > series.null_count():
        return "category", series.cast(pl.String), ()
    return "integer", wide, ()


def _read_text(series: pl.Series) -> tuple[Kind, pl.Series, tuple[str, ...]]:
    known = series.drop_nulls().unique()
    if known.is_empty():
        return "category", series, ()
    # Blanks around numbers, times and booleans do not count; a category is what is written.
    plain, known = series.str.strip_chars(), known.str.strip_chars().unique()
    if known.str.contains(_BOOLEAN).all():
        return "boolean", plain.str.to_lowercase() == "true", ()
    if known.str.contains(_TIME).all():
        times = _read_times(plain)
        if times.null_count() == plain.null_count():
            return "timestamp", times, ()
    return _read_numbers(plain, known) or ("category", series, ())


def _read_numbers(
    series: pl.Series, known: pl.Series
) -> tuple[Kind, pl.Series, tuple[str, ...]] | None:
    """The numbers of a text column, texts for missing ones apart; None if it holds others too."""
    markers = tuple(m for m in MISSING_TEXTS if known.is_in([m]).any())
    numbers = known.filter(~known.is_in(list(markers)))
    kind: Kind = "integer" if numbers.str.contains(_INTEGER).all() else "float"
    if numbers.is_empty() or not numbers.str.contains(_FLOAT).all():
        return None
    cleaned = series.set(series.is_in(list(markers)).fill_null(value=False), None)
    typed = cleaned.cast(pl.Int64 if kind == "integer" else pl.Float64, strict=False)
    if typed.null_count() > cleaned.null_count() or not typed.is_finite().all():
        return None
    return kind, typed, markers


def _read_times(series: pl.Series) -> pl.Series:
    text = series.str.replace(" ", "T").str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00:00")
    text = text.str.replace(r"(T\d\d:\d\d)(Z|[-+]|$)", "${1}:00${2}")
    zoned = text.str.contains(r"T.*(?:Z|[-+]\d\d:?\d\d)$").any()
    if zoned:
        text = text.str.replace(r"(T[\d:.]+)$", "${1}+00:00").str.replace(r"Z$", "+00:00")
        aware = text.str.to_datetime("%+", time_unit="us", strict=False, time_zone="UTC")
        return aware.dt.replace_time_zone(None)
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)


def _why_not(facts: Facts) -> str:
    reasons = (
        (not facts.name, "it has no name"),
        (len(facts.name) > MAX_NAME, f"its name is longer than {MAX_NAME} characters"),
        (any(ord(c) < ord(" ") for c in facts.name), "its name holds a control character"),
        (facts.name in RESERVED_COLUMNS, "the lake uses its name itself"),
        (facts.kind == "unusable", f"it holds {facts.series.dtype}, no single values"),
        (facts.n_unique == 0, "it is empty"),
        (facts.null_share > _MOST_NULL, f"it is {facts.null_share:.0%} empty"),
        (facts.n_unique == 1, "it holds one value only"),
        (facts.kind == "timestamp", "a time is no feature by itself"),
        (facts.counts_up, "it only numbers the rows"),
        (facts.unique and facts.named_like_an_id, "it is an id: another value in every row"),
        (_is_free_text(facts), f"it has {facts.n_unique:,} different texts: an id or free text"),
        (_is_huge(facts), "its numbers are too large to compute with"),
    )
    return next((reason for holds, reason in reasons if holds), "")


def _is_free_text(facts: Facts) -> bool:
    many = facts.n_unique > max(2, 0.5 * len(facts.series.drop_nulls()))
    return facts.kind == "category" and (many or facts.n_unique > MAX_VALUES)


def _is_huge(facts: Facts) -> bool:
    if facts.kind not in {"integer", "float"} or not facts.n_unique:
        return False
    largest = max(abs(float(facts.series.min())), abs(float(facts.series.max())))  # type: ignore[arg-type]
    return largest > (_EXACT_INTEGER if facts.kind == "integer" else _LARGEST)


def widened(facts: Facts) -> tuple[float, float]:
    """A range for the contract: the seen one, its width again on both sides, 0 kept as a floor."""
    low, high = float(facts.series.min()), float(facts.series.max())  # type: ignore[arg-type]
    width = (high - low) or abs(high) or 1.0
    floor = _outward(low - width, down=True)
    ceiling = _outward(high + width, down=False)
    return (0.0 if low >= 0 else floor), (0.0 if high <= 0 and low < 0 else ceiling)


def _outward(value: float, *, down: bool) -> float:
    """Rounded to two significant digits, away from the data."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    rounded = (math.floor if down else math.ceil)(value / step) * step
    return float(f"{rounded:.12g}")


def allowed_null_share(facts: Facts) -> float:
    """The seen share of missing values with some room above it, in whole hundredths."""
    return min(1.0, math.ceil((facts.null_share * 1.5 + 0.01) * 100) / 100)
