"""The charts of a card: hand-made SVG without scripts, small, with every figure in reach."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from include.evergreen.stages.training.card import svg
from include.evergreen.stages.training.card.svg import WIDTH, number, scale, tick

LABELS = 118.0
_LEFT, _BOTTOM, _TOP = 44.0, 26.0, 10.0
_BAR, _FIGURES = 21.0, 58.0
_HALF = 0.5


@dataclass(frozen=True)
class Range:
    """A figure with the interval it lies in. `css` says whose it is."""

    name: str
    value: float
    low: float | None
    high: float | None
    css: str


def bars(title: str, rows: Sequence[tuple[str, float]], css: str = "challenger") -> str:
    """One bar a row, its figure beside it; bars to the left are below zero."""
    x = scale((value for _, value in rows), LABELS, WIDTH - _FIGURES, zero=True)
    parts, y = [], 4.0
    for name, value in rows:
        start, end = sorted((x(0), x(value)))
        parts += [
            svg.label(LABELS - 8, y + 13, name, LABELS - 8),
            svg.rect(start, y + 3, max(end - start, 1), _BAR - 8, css, f"{name}: {number(value)}"),
            svg.text(end + 6, y + 13, number(value), "figure"),
        ]
        y += _BAR
    parts.append(svg.line(x(0), 4, x(0), y, "axis"))
    return svg.frame(title, y + 4, parts)


def paired_bars(
    title: str, rows: Sequence[tuple[str, float | None, float | None, bool]], other: str
) -> str:
    """Two bars a row: the challenger's, and that of whom it is compared with (`other`).

    A row's last value says whether it is marked as failed.
    """
    known = [value for _, *pair, _ in rows for value in pair if value is not None]
    x = scale(known, LABELS, WIDTH - _FIGURES, zero=True)
    parts, y = [], 4.0
    for name, challenger, rival, failed in rows:
        parts.append(svg.label(LABELS - 8, y + 17, name, LABELS - 8, "failed" if failed else ""))
        for value, css, top in (
            (challenger, "failed" if failed else "challenger", y + 3),
            (rival, other, y + 14),
        ):
            if value is None:
                continue
            start, end = sorted((x(0), x(value)))
            said = f"{name}, {other if css == other else 'challenger'}: {number(value)}"
            parts += [
                svg.rect(start, top, max(end - start, 1), 9, css, said),
                svg.text(end + 6, top + 8.5, number(value), "figure small"),
            ]
        y += 29
    parts.append(svg.line(x(0), 4, x(0), y, "axis"))
    return svg.frame(title, y + 4, parts)


def ranges(title: str, rows: Sequence[Range], *, marks: Mapping[str, float] | None = None) -> str:
    """A point and its interval a row, on one scale; `marks` are upright lines with a name."""
    marks = marks or {}
    known = [value for row in rows for value in (row.value, row.low, row.high) if value is not None]
    x = scale([*known, *marks.values()], 92, WIDTH - _FIGURES)
    height = 30.0 * len(rows) + 8
    parts = []
    for place in x.ticks():
        parts += [
            svg.line(x(place), 6, x(place), height, "grid"),
            svg.text(x(place), height + 15, tick(place), "tick", "middle"),
        ]
    for name, value in marks.items():
        parts += [
            svg.line(x(value), 2, x(value), height, "mark"),
            svg.rect(x(value) - 4, 0, 8, height, "unseen", f"{name}: {number(value)}"),
        ]
    y = 24.0
    for row in rows:
        parts.append(svg.label(84, y + 4, row.name, 84))
        if row.low is not None and row.high is not None:
            said = f"{row.name}: {number(row.low)} to {number(row.high)}"
            parts += [
                svg.rect(
                    x(row.low), y - 4, max(x(row.high) - x(row.low), 2), 8, f"{row.css} pale", said
                ),
            ]
        parts += [
            svg.dot(x(row.value), y, 5, row.css, f"{row.name}: {number(row.value, 4)}"),
            svg.text(WIDTH - 4, y + 4, number(row.value, 4), "figure", "end"),
        ]
        y += 30
    return svg.frame(title, height + 20, parts)


def scatter(
    title: str,
    series: Mapping[str, Sequence[Sequence[float]]],
    *,
    across: str,
    up: str,
    diagonal: bool = False,
    times: bool = False,
    height: float = 250,
) -> str:
    """Points, with the line on which both are equal, or the one on which `up` is zero.

    The name of a series is also its class.
    """
    points = [point for found in series.values() for point in found]
    if diagonal:
        both = [value for point in points for value in point]
        x = scale(both, _LEFT, WIDTH - 8)
        y = svg.Scale(x.low, x.high, height - _BOTTOM - 14, _TOP)
    else:
        x = scale((point[0] for point in points), _LEFT, WIDTH - 8)
        y = scale((point[1] for point in points), height - _BOTTOM - 14, _TOP)
    parts = _axes(x, y, across, up, height, times=times)
    if diagonal:
        parts.append(svg.line(x(x.low), y(x.low), x(x.high), y(x.high), "mark"))
    elif y.low < 0 < y.high:
        parts.append(svg.line(_LEFT, y(0), WIDTH - 8, y(0), "mark"))
    parts += [
        svg.dot(x(a), y(b), 2.6, f"{name} point")
        for name, found in series.items()
        for a, b in found
    ]
    return svg.frame(title, height, parts)


def course(
    title: str, at: Sequence[str], lines: Mapping[str, Sequence[float | None]], up: str
) -> str:
    """Lines over time, one a name; the name is also its class."""
    width, height = 2 * WIDTH, 250.0
    seconds = [dt.datetime.fromisoformat(moment).timestamp() for moment in at]
    x = scale(seconds, _LEFT, width - 8)
    x = svg.Scale(min(seconds), max(seconds), _LEFT, width - 8)
    values = [value for line in lines.values() for value in line if value is not None]
    y = scale(values, height - _BOTTOM - 14, _TOP)
    parts = _axes(x, y, "", up, height, times=True, width=width)
    for name, line in lines.items():
        known = [(x(s), y(v)) for s, v in zip(seconds, line, strict=True) if v is not None]
        parts.append(svg.path(known, f"line {name}"))
    return svg.frame(title, height, parts, width)


def histogram(
    title: str,
    edges: Sequence[float],
    series: Mapping[str, Sequence[float]],
    *,
    across: str,
    height: float = 190,
) -> str:
    """Shares in bins, one outline a series; the name is also its class."""
    x = svg.Scale(edges[0], edges[-1], _LEFT, WIDTH - 8)
    y = scale([v for values in series.values() for v in values], height - 40, _TOP, zero=True)
    parts = _axes(x, y, across, "", height, percent=True)
    for name, values in series.items():
        for left, right, value in zip(edges, edges[1:], values, strict=False):
            said = f"{name}, {number(left)} to {number(right)}: {value:.1%}"
            top = y(value)
            parts.append(
                svg.rect(
                    x(left) + 0.5, top, x(right) - x(left) - 1, y(0) - top, f"{name} veil", said
                )
            )
    return svg.frame(title, height, parts)


def spark(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """A histogram as small as a word, for a row of a table."""
    width, height = 96.0, 26.0
    most = max((value for values in series.values() for value in values), default=0) or 1
    parts = []
    for name, values in series.items():
        step = width / max(1, len(values))
        for place, value in enumerate(values):
            tall = value / most * (height - 2)
            bar = svg.rect(place * step + 0.4, height - tall, step - 0.8, tall, f"{name} veil")
            parts.append(bar if value else "")
    drawn = svg.frame(title, height, parts, width)
    return drawn.replace('class="chart"', 'class="spark"', 1)


def matrix(title: str, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """What was true (down) against what was said (across), shaded by the share of its row."""
    cell = min(84.0, (WIDTH - LABELS - 8) / len(classes))
    parts = [svg.text(LABELS, 12, "said", "tick")]
    for place, name in enumerate(classes):
        middle = LABELS + cell * (place + _HALF)
        parts.append(svg.label(middle, 28, name, cell, "tick", "middle"))
    for down, row in enumerate(counts):
        top, total = 36 + cell * down, sum(row) or 1
        parts.append(svg.label(LABELS - 8, top + cell / 2 + 4, classes[down], LABELS - 8))
        for across, count in enumerate(row):
            share = count / total
            left = LABELS + cell * across
            said = f"{classes[down]}, called {classes[across]}: {count:,} ({share:.1%})"
            css = "challenger" if down == across else "failed"
            shade = f' style="fill-opacity:{0.08 + 0.82 * share:.2f}"'
            parts += [
                svg.rect(left + 1, top + 1, cell - 2, cell - 2, css, said).replace(
                    f'class="{css}"', f'class="{css}"{shade}', 1
                ),
                svg.text(
                    left + cell / 2,
                    top + cell / 2 + 1,
                    f"{count:,}",
                    "cell strong" if share > _HALF else "cell",
                    "middle",
                ),
                svg.text(
                    left + cell / 2,
                    top + cell / 2 + 15,
                    f"{share:.0%}",
                    "cell small strong" if share > _HALF else "cell small",
                    "middle",
                ),
            ]
    return svg.frame(title, 40 + cell * len(classes), parts)


def reliability(title: str, curve: Sequence[Mapping[str, Any]], *, across: str, up: str) -> str:
    """What was predicted against what came true, in bins; larger points hold more rows."""
    height = 270.0
    both = [float(part[key]) for part in curve for key in ("predicted", "observed")]
    x = scale(both, _LEFT, WIDTH - 8)
    y = svg.Scale(x.low, x.high, height - _BOTTOM - 14, _TOP)
    most = max((part["rows"] for part in curve), default=1) or 1
    parts = _axes(x, y, across, up, height)
    parts.append(svg.line(x(x.low), y(x.low), x(x.high), y(x.high), "mark"))
    points = [(x(part["predicted"]), y(part["observed"])) for part in curve]
    parts.append(svg.path(points, "line challenger"))
    for part, (across_px, up_px) in zip(curve, points, strict=True):
        said = (
            f"predicted {number(part['predicted'])}, came true {number(part['observed'])}, "
            f"{part['rows']:,} rows"
        )
        parts.append(
            svg.dot(across_px, up_px, 3 + 5 * (part["rows"] / most) ** 0.5, "challenger", said)
        )
    return svg.frame(title, height, parts)


def effects(title: str, groups: Sequence[Mapping[str, Any]]) -> str:
    """How much each value of a column moved the answer: its mean, from least to most."""
    x = scale(
        [g[key] for g in groups for key in ("low", "high")], LABELS, WIDTH - _FIGURES, zero=True
    )
    parts, y = [], 4.0
    for group in groups:
        name = str(group["value"])
        said = (
            f"{name}: {number(group['low'])} to {number(group['high'])}, mean "
            f"{number(group['mean'])}, {group['rows']:,} rows"
        )
        left, right = x(group["low"]), x(group["high"])
        parts += [
            svg.label(LABELS - 8, y + 14, name, LABELS - 8),
            svg.rect(left, y + 6, max(right - left, 2), 8, "challenger pale", said),
            svg.dot(x(group["mean"]), y + 10, 4.5, "challenger", said),
            svg.text(WIDTH - 4, y + 14, number(group["mean"]), "figure", "end"),
        ]
        y += _BAR
    parts.append(svg.line(x(0), 4, x(0), y, "mark"))
    return svg.frame(title, y + 4, parts)


def _axes(
    x: svg.Scale,
    y: svg.Scale,
    across: str,
    up: str,
    height: float,
    *,
    times: bool = False,
    percent: bool = False,
    width: float = WIDTH,
) -> list[str]:
    floor = max(y.start, y.end)
    parts = []
    for place in y.ticks():
        words = f"{place:.0%}" if percent else tick(place)
        parts += [
            svg.line(_LEFT, y(place), width - 8, y(place), "grid"),
            svg.text(_LEFT - 6, y(place) + 4, words, "tick", "end"),
        ]
    span = x.high - x.low
    places = [x.low + span * share for share in (0.08, 0.5, 0.92)] if times else x.ticks(5)
    for place in places:
        words = svg.moment(place, span) if times else tick(place)
        parts.append(svg.text(x(place), floor + 16, words, "tick", "middle"))
    parts.append(svg.line(_LEFT, floor, width - 8, floor, "axis"))
    if across:
        parts.append(svg.text((_LEFT + width) / 2, height - 3, across, "tick", "middle"))
    if up:
        parts.append(svg.text(_LEFT + 4, _TOP + 6, up, "tick"))
    return parts
