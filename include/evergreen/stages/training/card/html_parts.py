"""Tables, lists and frames of a card's page. Whatever is not called raw is escaped here."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from html import escape

_DIGEST = re.compile(r"[0-9a-f]{32,64}")
_NUMBER = re.compile(r"[-—]?[\d.,]+(%|k|M)?( \(.*\))?|—")
_NAMES = {"truth": "what was true", "train": "learned from", "holdout": "held out"}


def pill(words: str, css: str) -> str:
    return f'<span class="pill {css}">{escape(words)}</span>'


def keys(names: Iterable[str]) -> str:
    """Which colour is whose."""
    drawn = "".join(
        f'<span><i class="{name}"></i>{escape(_NAMES.get(name, name))}</span>' for name in names
    )
    return f'<p class="keys">{drawn}</p>'


def figure(caption: str, chart: str, note: str = "", *, css: str = "") -> str:
    """A chart in its frame. `note` is HTML; `css` may make it `broad`."""
    said = f"<figcaption>{escape(caption)}{note}</figcaption>"
    return f'<figure class="{f"panel {css}".strip()}">{said}{chart}</figure>'


def panels(figures: Sequence[str]) -> str:
    return f'<div class="panels">{"".join(figures)}</div>' if figures else ""


def pairs(rows: Iterable[Sequence[str]]) -> str:
    """Names with what they are."""
    drawn = "".join(f"<dt>{escape(name)}</dt><dd>{_value(value)}</dd>" for name, value in rows)
    return f"<dl>{drawn}</dl>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marked: Collection[int] = ()) -> str:
    """A table of texts; numbers stand at the right."""
    right = [
        bool(rows) and all(_NUMBER.fullmatch(row[place]) for row in rows)
        for place in range(len(head))
    ]
    drawn = []
    for number, row in enumerate(rows):
        cells = [f"<th>{escape(row[0])}</th>"] + [
            f'<td class="number">{escape(value)}</td>' if right[place] else _cell(escape(value))
            for place, value in enumerate(row[1:], start=1)
        ]
        css = ' class="decides"' if number in marked else ""
        drawn.append(f"<tr{css}>{''.join(cells)}</tr>")
    return _table(head, drawn, right)


def raw_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells are HTML already."""
    drawn = [
        f"<tr><th>{row[0]}</th>{''.join(_cell(value) for value in row[1:])}</tr>" for row in rows
    ]
    return _table(head, drawn, [False] * len(head))


def _table(head: Sequence[str], rows: Iterable[str], right: Sequence[bool]) -> str:
    names = "".join(
        f"<th{_RIGHT if at_right else ''}>{escape(name)}</th>"
        for name, at_right in zip(head, right, strict=True)
    )
    return (
        f'<div class="wide"><table><thead><tr>{names}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


_LONG = 24
_RIGHT = ' class="number"'


def _cell(html: str) -> str:
    css = ' class="text"' if len(html) > _LONG and "<" not in html else ""
    return f"<td{css}>{html}</td>"


def _value(value: str) -> str:
    """A digest looks like one."""
    if _DIGEST.fullmatch(value):
        return f'<span class="digest">{value}</span>'
    return escape(value)
