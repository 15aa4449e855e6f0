"""Pieces of an inline SVG: a frame with a title, texts, scales and their ticks.

Colours are classes that the page's style knows in light and in dark. Every text is escaped.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 420
#: Stands where there is no figure.
NOTHING = "—"
#: Pixels a letter of a label takes, about.
LETTER = 6.2
_THOUSAND, _MILLION = 1_000, 1_000_000
_SMALL, _LARGE = 1e-3, 1e5
_DAY_S = 86_400


@dataclass(frozen=True)
class Scale:
    """From values between `low` and `high` to pixels between `start` and `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = (value - self.low) / span if span else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 4) -> list[float]:
        """Round numbers within the scale."""
        span = self.high - self.low
        if not span > 0:
            return [self.low]
        rough = span / about
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def scale(values: Iterable[float], start: float, end: float, *, zero: bool = False) -> Scale:
    """A scale over these values with a little room; from zero on where bars begin there."""
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    room = (high - low) * 0.04
    return Scale(
        low if zero and low == 0 else low - room,
        high if zero and high == 0 else high + room,
        start,
        end,
    )


def frame(title: str, height: float, parts: Iterable[str], width: float = WIDTH) -> str:
    """One chart: what it shows is its title, for who cannot see it and for who points at it."""
    said = escape(title)
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {width:g} {height:g}" '
        f'aria-label="{said}"><title>{said}</title>{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{place}{kind}>{escape(words)}</text>'


def label(x: float, y: float, words: str, room: float, css: str = "", anchor: str = "end") -> str:
    """A text cut to so many pixels, whole when pointed at."""
    most = max(3, int(room / LETTER))
    if len(words) <= most:
        return text(x, y, words, css, anchor)
    cut = text(x, y, f"{words[: most - 1]}…", css, anchor)
    return f"<g><title>{escape(words)}</title>{cut}</g>"


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def rect(x: float, y: float, width: float, height: float, css: str, title: str = "") -> str:
    shape = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
        f'height="{max(height, 0):.1f}" class="{css}"'
    )
    return f"{shape}><title>{escape(title)}</title></rect>" if title else f"{shape}/>"


def dot(x: float, y: float, radius: float, css: str, title: str = "") -> str:
    shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{css}"'
    return f"{shape}><title>{escape(title)}</title></circle>" if title else f"{shape}/>"


def path(points: Sequence[tuple[float, float]], css: str) -> str:
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{steps}" class="{css}"/>'


def number(value: float | None, digits: int = 3) -> str:
    """A figure as people write it: 12,345, 0.0312, 1.2e-06; a dash for none."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(value)
    if size and (size < _SMALL or size >= _LARGE * _THOUSAND):
        return f"{value:.{digits - 1}g}"
    if size >= _THOUSAND:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def tick(value: float) -> str:
    """A figure for an axis: short."""
    size = abs(value)
    if size >= _MILLION:
        return f"{value / _MILLION:g}M"
    if size >= 10 * _THOUSAND:
        return f"{value / _THOUSAND:g}k"
    return f"{value:g}"


def percent(share: float | None, digits: int = 1) -> str:
    return NOTHING if share is None or not math.isfinite(share) else f"{share:.{digits}%}"


def moment(seconds: float, span_s: float) -> str:
    """A time for an axis that covers so many seconds."""
    at = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return f"{at:%d %b %H:%M}" if span_s < 3 * _DAY_S else f"{at:%d %b %Y}"
