"""Shows a walk around the loop: a live table on a terminal, a line a change everywhere else."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

PLAIN_PAUSE_S = 3.0  # between two lines about a step that goes on


@dataclass(frozen=True)
class Row:
    """One line of the table: `state` is waiting, running, done, skipped or failed."""

    name: str
    state: str
    detail: str = ""
    seconds: float | None = None


class Screen:
    """Shows the newest rows; made by `screen`."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self.console = console
        self._live = live
        self._shown: dict[str, tuple[str, str]] = {}
        self._said_at: dict[str, float] = {}
        self._began = time.monotonic()

    def show(self, rows: Sequence[Row], note: str = "") -> None:
        if self._live is not None:
            self._live.update(self._table(rows, note))
            return
        for row in rows:
            if row.state == "waiting" or self._is_old(row):
                continue
            self._shown[row.name] = (row.state, row.detail)
            self._said_at[row.name] = time.monotonic()
            self.say(f"{row.name}: {row.state}{', ' if row.detail else ''}{row.detail}")
        if note and self._shown.get("note") != ("", note):
            self._shown["note"] = ("", note)
            self.say(note)

    def _is_old(self, row: Row) -> bool:
        """Whether a line about it would say nothing new, or follow the last one too closely."""
        state, detail = self._shown.get(row.name, ("", ""))
        if (state, detail) == (row.state, row.detail):
            return True
        since_s = time.monotonic() - self._said_at.get(row.name, -math.inf)
        return state == row.state == "running" and since_s < PLAIN_PAUSE_S

    def say(self, text: str) -> None:
        """A line that stays, above the table."""
        seconds = time.monotonic() - self._began
        prefix = "" if self._live is not None else f"[{seconds:6.1f} s] "
        self.console.print(Text(prefix + text), soft_wrap=True)

    def _table(self, rows: Sequence[Row], note: str) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        for width in (2, None, 8, None):
            table.add_column(width=width)
        for row in rows:
            seconds = "" if row.seconds is None else f"{row.seconds:.1f} s"
            style = {"waiting": "dim", "failed": "red"}.get(row.state, "")
            table.add_row(
                _mark(row.state), Text(row.name, style), Text(seconds, "dim"), Text(row.detail)
            )
        if note:
            table.add_row("", Text(note, "yellow"), "", "")
        return table


def _mark(state: str) -> Text | Spinner:
    if state == "running":
        return Spinner("dots")
    marks = {"done": ("✓", "green"), "skipped": ("-", "dim"), "failed": ("✗", "red")}
    return Text(*marks.get(state, ("·", "dim")))


@contextlib.contextmanager
def screen() -> Iterator[Screen]:
    """A screen for stdout: live on a terminal, plain lines for a pipe or a log."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield Screen(console, None)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield Screen(console, live)
