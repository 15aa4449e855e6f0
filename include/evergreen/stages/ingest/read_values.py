"""Reads the values of one raw column as its contract wants them; what cannot be read is told apart.

Text (CSV, JSON Lines) and typed columns (Parquet) are read by the same rules. Numbers, times and
booleans may have blanks around them, and `MISSING_TEXTS` stand for a missing one; a category or a
key is what is written, to the letter. NaN is missing. A number with a thousands separator is no
number, and a time is ISO 8601 or no time: `01/02/2011` is two days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from include.evergreen.errors import FileRefused

Kind = Literal["float", "integer", "boolean", "category", "integer_category", "timestamp", "key"]
UTC_TIME = pl.Datetime("us", "UTC")
#: Times from the year 1 to 9999, in seconds and days since 1970; what lies beyond is no time, and
#: polars panics or wraps around where it computes with it.
_SECONDS = (-62_135_596_800 + 86_400, 253_402_300_799 - 86_400)
_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}
PHYSICAL: dict[Kind, pl.DataType] = {
    "float": pl.Float64(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
    "category": pl.String(),
    "integer_category": pl.Int64(),
    "timestamp": UTC_TIME,
    "key": pl.String(),
}
#: What people write where a number, a boolean or a time is missing.
MISSING_TEXTS = frozenset(
    ("", "?", "NA", "N/A", "n/a", "null", "NULL", "None", "nan", "NaN", "NAN", "-", "#N/A", "NaT")
)
_EXACT = 2**53  # from it on a float names no single integer
_TIME = (
    r"^(?<date>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?<clock>\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)\s?"
    r"(?<zone>Z|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?$"
)
_PLAIN_TIME_LENGTH = len("2011-01-01T00:00:00")


@dataclass(frozen=True)
class Values:
    """One column read. `unreadable` is true where something is written that is no such value.

    `zoned` is true for times written with a zone, false for times without, null for no time; None
    for all that are no times.
    """

    typed: pl.Series
    unreadable: pl.Series
    zoned: pl.Series | None = None


def read_values(raw: pl.Series, kind: Kind, time_zone: str) -> Values:
    """Read a raw column as `kind`.

    Raises:
        FileRefused: a typed column can never hold such values (times where numbers are wanted).
    """
    if raw.dtype == pl.Null:
        return _values(raw, raw.cast(PHYSICAL[kind]))
    if raw.dtype in (pl.Categorical, pl.Enum):
        raw = raw.cast(pl.String)
    if kind == "timestamp":
        return _times(raw, time_zone)
    if raw.dtype == pl.String:
        return _from_text(raw, kind)
    return _values(raw, _from_typed(raw, kind))


def _values(known: pl.Series, typed: pl.Series) -> Values:
    typed = typed.fill_nan(None) if typed.dtype == pl.Float64 else typed
    missing = known.is_null()
    if known.dtype.is_float():
        missing = missing | known.is_nan().fill_null(value=False)
    return Values(typed, typed.is_null() & ~missing)


def _from_text(raw: pl.Series, kind: Kind) -> Values:
    if kind in ("category", "key"):
        known = raw.set((raw == "").fill_null(value=False), None)
        return _values(known, known)
    text = _without_missing(raw)
    if kind == "float":
        return _values(text, text.cast(pl.Float64, strict=False))
    if kind == "boolean":
        lower = text.str.to_lowercase()
        read = lower.replace_strict(
            {"true": True, "false": False, "1": True, "0": False},
            default=None,
            return_dtype=pl.Boolean,
        )
        return _values(text, read)
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() > text.null_count():  # 12.0 is written where integers once had gaps
        whole = whole.fill_null(_whole(text.cast(pl.Float64, strict=False)))
    return _values(text, whole)


def _without_missing(raw: pl.Series) -> pl.Series:
    text = raw.str.strip_chars()
    return text.set(text.is_in(list(MISSING_TEXTS)).fill_null(value=False), None)


def _whole(number: pl.Series) -> pl.Series:
    frame = number.to_frame("x")
    is_whole = (pl.col("x").floor() == pl.col("x")) & (pl.col("x").abs() < _EXACT)
    return frame.select(pl.when(is_whole).then("x").cast(pl.Int64, strict=False)).to_series()


def _from_typed(raw: pl.Series, kind: Kind) -> pl.Series:
    number = raw.dtype.is_numeric()
    if kind == "float" and number:
        return raw.cast(pl.Float64, strict=False)
    if kind in ("integer", "integer_category") and number:
        if raw.dtype.is_integer():
            return raw.cast(pl.Int64, strict=False)
        return _whole(raw.cast(pl.Float64, strict=False))
    if kind == "boolean" and (raw.dtype == pl.Boolean or number):
        return _zero_or_one(raw)
    if kind in ("category", "key") and (raw.dtype.is_integer() or raw.dtype == pl.Boolean):
        return raw.cast(pl.String)
    if kind == "key" and raw.dtype in (pl.Date, pl.Datetime):
        return within_calendar(raw).dt.to_string()
    wanted = kind.replace("_", " ")
    raise FileRefused("type", f"Column '{raw.name}' holds {raw.dtype}; the contract says {wanted}.")


def within_calendar(raw: pl.Series) -> pl.Series:
    """Times or dates, null where they lie outside of the years 1 to 9999."""
    if raw.dtype == pl.Date:
        return _between(raw, *(seconds // 86_400 for seconds in _SECONDS))
    per_second = _PER_SECOND[getattr(raw.dtype, "time_unit", "us")]
    return _between(raw, *(min(max(s * per_second, -(2**63)), 2**63 - 1) for s in _SECONDS))


def within_day(raw: pl.Series) -> pl.Series:
    """Times of a day, null where they are none."""
    return _between(raw, 0, 86_400 * 10**9 - 1)


def _between(raw: pl.Series, least: int, most: int) -> pl.Series:
    outside = ~raw.to_physical().is_between(least, most)
    return raw.set(outside.fill_null(value=False), None) if outside.any() else raw


def _zero_or_one(raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.Boolean:
        return raw
    return raw.replace_strict({0: False, 1: True}, default=None, return_dtype=pl.Boolean)


def _times(raw: pl.Series, time_zone: str) -> Values:
    if raw.dtype == pl.Date:
        return _typed_times(within_calendar(raw).cast(pl.Datetime("us")), time_zone, raw)
    if raw.dtype == pl.Datetime:
        return _typed_times(within_calendar(raw).dt.cast_time_unit("us"), time_zone, raw)
    if raw.dtype != pl.String:
        raise FileRefused(
            "type", f"Column '{raw.name}' holds {raw.dtype}; the contract says timestamp."
        )
    text = _without_missing(raw)
    plain = _read_plain(text)
    if plain is not None:
        return _typed_times(plain, time_zone, text)
    return _read_any(text, time_zone)


def _typed_times(local: pl.Series, time_zone: str, known: pl.Series | None = None) -> Values:
    zone = getattr(local.dtype, "time_zone", None)
    utc = local.dt.convert_time_zone("UTC") if zone else _to_utc(local, time_zone)
    known = local if known is None else known
    frame = known.is_not_null().to_frame("known")
    zoned = frame.select(pl.when("known").then(pl.lit(zone is not None))).to_series()
    return Values(utc, utc.is_null() & known.is_not_null(), zoned)


def _to_utc(local: pl.Series, time_zone: str) -> pl.Series:
    """A local time that comes twice is the earlier; one that never comes is null."""
    if time_zone == "UTC":
        return local.dt.replace_time_zone("UTC")
    placed = local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return placed.dt.convert_time_zone("UTC")


def _read_plain(text: pl.Series) -> pl.Series | None:
    """The quick way, for a column of `2011-01-01T00:00:00` only; None for any other."""
    lengths = text.str.len_bytes()
    if lengths.min() != _PLAIN_TIME_LENGTH or lengths.max() != _PLAIN_TIME_LENGTH:
        return None
    for separator in ("T", " "):
        read = text.str.to_datetime(
            f"%Y-%m-%d{separator}%H:%M:%S", time_unit="us", strict=False, exact=True
        )
        if read.null_count() == text.null_count():
            return read
    return None


def _read_any(text: pl.Series, time_zone: str) -> Values:
    parts = text.str.extract_groups(_TIME).struct.unnest()
    clock = parts["clock"].fill_null("00:00:00")
    frame = pl.DataFrame({"day": parts["date"], "clock": clock, "zone": parts["zone"]})
    seconds = pl.when(pl.col("clock").str.len_bytes() == len("00:00")).then(pl.lit(":00"))
    local = (
        (pl.col("day") + "T" + pl.col("clock") + seconds.otherwise(pl.lit("")))
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
        .alias("local")
    )
    digits = pl.col("zone").str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    minutes = (
        digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60
        + digits.str.slice(2, 2).cast(pl.Int64, strict=False)
    ) * pl.when(pl.col("zone").str.starts_with("-")).then(-1).otherwise(1)
    read = frame.with_columns(local, minutes.alias("minutes")).with_columns(
        (pl.col("local") - pl.duration(minutes="minutes"))
        .dt.replace_time_zone("UTC")
        .alias("aware"),
    )
    naive = _to_utc(read["local"], time_zone)
    utc = read.select(
        pl.when(pl.col("zone").is_null()).then(naive).otherwise(pl.col("aware"))
    ).to_series()
    zoned = read.select(
        pl.when(pl.col("day").is_not_null()).then(pl.col("zone").is_not_null())
    ).to_series()
    return Values(utc, utc.is_null() & text.is_not_null(), zoned)
