"""Any gate's evidence as tables, whatever it holds: what a gate measures tomorrow is shown, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.evergreen.stages.training.card.svg import NOTHING, number

MOST_ROWS = 40
MOST_LISTED = 12


@dataclass(frozen=True)
class Table:
    """Rows of cells as texts. Without a head it is a list of names with what they are."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


def tables_of(evidence: Mapping[str, Any], caption: str = "") -> Iterator[Table]:
    """Single values first, then a table for each list of things, and for what these hold."""
    single = {name: value for name, value in evidence.items() if not _is_nested(value)}
    if single:
        rows = tuple((words(name), cell(value)) for name, value in single.items())
        yield Table(caption, (), rows)
    for name, value in evidence.items():
        title = f"{caption}: {words(name)}" if caption else words(name)
        if isinstance(value, Mapping) and value:
            yield from tables_of(value, title)
        elif _is_nested(value):
            yield from _of_things(value, title)


def _of_things(things: Sequence[Mapping[str, Any]], title: str) -> Iterator[Table]:
    names = list(dict.fromkeys(name for thing in things for name in thing))
    flat = [name for name in names if not any(_is_nested(thing.get(name)) for thing in things)]
    rows = tuple(tuple(cell(thing.get(name)) for name in flat) for thing in things[:MOST_ROWS])
    if flat:
        head = tuple(words(name) for name in flat)
        yield Table(title, head, rows, max(0, len(things) - MOST_ROWS))
    for thing, row in zip(things, rows, strict=False):
        nested = {name: thing[name] for name in names if name in thing and name not in flat}
        if nested:
            yield from tables_of(nested, f"{title}: {row[0]}" if row else title)


def _is_nested(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def words(name: str) -> str:
    """`max_worst_group_loss` as people say it."""
    return name.replace("_", " ").strip()


def cell(value: Any) -> str:
    """One value as a text of a line."""
    if isinstance(value, list | tuple):
        more = f" and {len(value) - MOST_LISTED} more" if len(value) > MOST_LISTED else ""
        return ", ".join(cell(each) for each in value[:MOST_LISTED]) + more
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(name))}: {cell(each)}" for name, each in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, 4)
    if isinstance(value, int):
        return f"{value:,}"
    return NOTHING if value is None else str(value)
