"""Decides once, at training, which features a model gets; the plan is JSON and holds all of it.

Whatever is learned from data (categories, the first day) or from the machine (the offsets of
a time zone) is written into the plan, so that `features.transform`, which travels with the model,
depends on nothing else. Imports the standard library and numpy only.
"""

from __future__ import annotations

import collections
import datetime as dt
import functools
import zoneinfo
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from include.evergreen.model_code.features import PERIODS, PLAN_FORMAT, Plan

Encoding = Literal["ordinal", "linear"]

#: A linear model gets one column a category, for the most frequent ones.
MAX_ONE_HOT = 64
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def make_plan(
    features: Mapping[str, Any],
    contract: Mapping[str, Any],
    encoding: Encoding,
    columns: Mapping[str, Any] | None = None,
) -> Plan:
    """What to compute, as JSON: the steps in order, each with the names of its outputs.

    Args:
        features: the `features` section of a spec, as JSON.
        contract: the bundle's contract; every column of it but the time becomes a feature.
        encoding: "ordinal" for trees (a category is a code), "linear" for all else (one column
            a category or bin, sine and cosine for periodic calendar parts).
        columns: the training rows. Needed where a category lists no values: they are taken from
            here. Also gives `days_since_start` its start.
    """
    steps = [
        _column_step(name, column, encoding, columns)
        for name, column in contract["columns"].items()
        if column["type"] != "timestamp"
    ]
    time = contract.get("time")
    for part in features.get("calendar", ()):
        cyclical = encoding == "linear" and features.get("cyclical", True) and part in PERIODS
        endings = (f"{part}_sin", f"{part}_cos") if cyclical else (part,)
        names = [f"{time}.{ending}" for ending in endings]
        steps.append({"kind": "calendar", "part": part, "cyclical": cyclical, "names": names})
    for name, ratio in features.get("ratios", {}).items():
        steps.append({"kind": "ratio", **ratio, "names": [name]})
    for name, bins in features.get("bins", {}).items():
        n_bins = len(bins["edges"]) + 1
        one_hot = encoding == "linear" and n_bins <= MAX_ONE_HOT
        names = [f"{name}={i}" for i in range(n_bins)] if one_hot else [name]
        steps.append({"kind": "bins", **bins, "one_hot": one_hot, "names": names})
    return {
        "format": PLAN_FORMAT,
        "encoding": encoding,
        "time": {"column": time, **zone_offsets(contract.get("time_zone", "UTC"))},
        "holidays": [str(day) for day in features.get("holidays", ())],
        "start_day": _start_day(columns, time),
        "steps": steps,
    }


def zone_offsets(zone: str) -> dict[str, Any]:
    """When a zone's offset from UTC changes, 1900 to 2100, in seconds since 1970 and seconds.

    The first entry holds from the beginning of time. UTC has none at all.
    """
    at, offsets = _zone_table(zone)
    return {"zone": zone, "offsets_at": list(at), "offsets_s": list(offsets)}


@functools.lru_cache(maxsize=16)
def _zone_table(zone: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if zone == "UTC":
        return (), ()
    info = zoneinfo.ZoneInfo(zone)

    def offset(second: int) -> int:
        local = (_EPOCH + dt.timedelta(seconds=second)).astimezone(info).utcoffset()
        return int((local or dt.timedelta()).total_seconds())

    step, first, last = 86_400, -2_208_988_800, 4_102_444_800
    at, offsets = [first], [offset(first)]
    for high in range(first + step, last + step, step):
        low, stop, new = high - step, high, offset(high)
        if new == offsets[-1]:
            continue
        while stop - low > 1:
            middle = (low + stop) // 2
            low, stop = (low, middle) if offset(middle) == new else (middle, stop)
        at.append(stop)
        offsets.append(new)
    return tuple(at), tuple(offsets)


def _start_day(columns: Mapping[str, Any] | None, time: str | None) -> int:
    if columns is None or time is None or time not in columns:
        return 0
    utc = np.asarray(columns[time], dtype="datetime64[us]")
    known = utc[~np.isnat(utc)]
    return int(known.min().astype("datetime64[D]").astype(np.int64)) if known.size else 0


def _column_step(
    name: str, column: Mapping[str, Any], encoding: Encoding, columns: Mapping[str, Any] | None
) -> dict[str, Any]:
    if column["type"] != "category":
        return {"kind": "number", "column": name, "names": [name]}
    values = columns.get(name) if columns is not None else None
    if column["values"] is None and values is None:
        raise ValueError(f"Category {name!r} lists no values: make_plan needs the training rows.")
    counts = collections.Counter(v for v in values if v is not None) if values is not None else {}
    categories = list(column["values"]) if column["values"] is not None else sorted(counts)
    if encoding == "ordinal":
        return {"kind": "category", "column": name, "categories": categories, "names": [name]}
    if len(categories) > MAX_ONE_HOT:
        frequent = sorted(categories, key=lambda c: -counts.get(c, 0))[:MAX_ONE_HOT]
        categories = [category for category in categories if category in set(frequent)]
    names = [f"{name}={category}" for category in categories]
    return {"kind": "one_hot", "column": name, "categories": categories, "names": names}
