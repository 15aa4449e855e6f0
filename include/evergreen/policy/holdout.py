"""Draws the line between the rows a challenger learns from and those it is judged on. Pure.

The holdout is what neither challenger nor champion was fitted on: with a time column the newest
rows after what the champion has seen, without one a stable share of the rows that came after the
champion's snapshot. Rows of one time, and rows of one identity, are never torn apart.
"""

from __future__ import annotations

import bisect
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

#: A class of which a holdout of this size should show this many and shows none is "absent";
#: the chance of that, if nothing is wrong, is below 1%.
EXPECTED_AT_LEAST = 5.0
#: The challenger learns from at least half of what the champion has not seen.
LARGEST_SHARE = 0.5


@dataclass(frozen=True)
class HoldoutRules:
    """`training.holdout` of the spec."""

    days: float | None
    share: float
    min_rows: int


@dataclass(frozen=True)
class Boundary:
    """Where the holdout begins: at `at` and after it. Without `at`, `why_not` says what lacks."""

    at: float | None
    rows: int
    why_not: str = ""


def boundary_in_time(
    times: Sequence[float], counts: Sequence[int], seen_until: float | None, rules: HoldoutRules
) -> Boundary:
    """The time from which on rows are held out.

    Args:
        times: the distinct times of the rows, ascending, in seconds.
        counts: the number of rows at each of them.
        seen_until: the newest time the champion was fitted on; None for a first model.
        rules: `days` back from the newest row if set, else `share` of the rows that may be used
            (or `min_rows`, if that is more). Never more than half of them.
    """
    first = 0 if seen_until is None else bisect.bisect_right(times, seen_until)
    unseen = sum(counts[first:])
    most = math.floor(unseen * LARGEST_SHARE)
    if rules.days is None:
        wanted = max(math.ceil(unseen * rules.share), rules.min_rows)
        oldest = -math.inf
    else:
        wanted = unseen
        oldest = times[-1] - rules.days * 86_400 if times else 0.0
    at, rows = None, 0
    for index in range(len(times) - 1, first - 1, -1):
        if rows >= wanted or times[index] <= oldest or rows + counts[index] > most:
            break
        at, rows = times[index], rows + counts[index]
    why_not = _too_few_held_out(rows, unseen, seen_until is not None, rules)
    return Boundary(None if why_not else at, rows, why_not)


def boundary_by_hash(hashes: Iterable[int], has_champion: bool, rules: HoldoutRules) -> Boundary:
    """The largest hash that is held out (`at`), for rows without a time.

    Args:
        hashes: `stable_hash` of each row that the champion has not seen.
        has_champion: half of them are held out then, else `share` (or `min_rows`, if more).
        rules: see `HoldoutRules`.
    """
    ordered = sorted(hashes)
    most = math.floor(len(ordered) * LARGEST_SHARE)
    wanted = most if has_champion else max(math.ceil(len(ordered) * rules.share), rules.min_rows)
    rows = min(wanted, most)
    while 0 < rows < len(ordered) and ordered[rows] == ordered[rows - 1]:
        rows -= 1
    why_not = _too_few_held_out(rows, len(ordered), has_champion, rules)
    return Boundary(None if why_not or not rows else float(ordered[rows - 1]), rows, why_not)


def stable_hash(identity: str) -> int:
    """52 bits of a hash that is the same in every process, version and year."""
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 12  # exact as a float


def _too_few_held_out(rows: int, unseen: int, has_champion: bool, rules: HoldoutRules) -> str:
    if rows >= rules.min_rows:
        return ""
    whose = "that the champion has not seen" if has_champion else "in all"
    return (
        f"the holdout has {rows:,} rows of the {unseen:,} {whose}; "
        f"it needs {rules.min_rows:,} (training.holdout.min_rows) and may take half of them"
    )


def why_not_trainable(
    train: Mapping[str, int], holdout: Mapping[str, int], classes: Sequence[str] | None
) -> str:
    """Why nothing can be learned from, or judged on, these targets; empty if it can.

    Args:
        train: how many rows of the train part carry each value of the target (for a regression,
            at most a few values need be counted: two of them are enough).
        holdout: the same for the holdout.
        classes: of the contract; None for a regression. A class so rare that the holdout would
            hardly show it may be missing there, unless there are only two.
    """
    for name, part in (("train part", train), ("holdout", holdout)):
        if classes is None and len([count for count in part.values() if count]) == 1:
            value = next(value for value, count in part.items() if count)
            return f"the target is constant ({value[:40]}) in the {name}"
    if classes is None:
        return ""
    absent = [name for name in classes if not train.get(name)]
    if absent:
        return f"{_classes(absent)} absent from the train part"
    n_train, n_holdout = sum(train.values()), sum(holdout.values())
    expected = {name: train[name] / n_train * n_holdout for name in classes}
    absent = [
        name
        for name in classes
        if not holdout.get(name) and (len(classes) == 2 or expected[name] >= EXPECTED_AT_LEAST)  # noqa: PLR2004
    ]
    if absent:
        return f"{_classes(absent)} absent from the holdout"
    if len([count for count in holdout.values() if count]) == 1:
        return "the holdout holds a single class"
    return ""


def _classes(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""  # noqa: PLR2004
    return f"{'class' if len(names) == 1 else 'classes'} {shown}{more}" + (
        " is" if len(names) == 1 else " are"
    )
