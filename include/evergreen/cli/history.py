"""Shows what happened to a model, newest last: files, requests, trainings, deployments, drift.

The last lines say what waits for a training, why it has none yet, and when it can have one.

`python -m include.evergreen.cli.history --model bike_demand [--limit 50]`
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from include.evergreen import settings
from include.evergreen.adapters.ledger import HistoryRow, Ledger, open_ledger
from include.evergreen.stages.training.waiting import why_not


def table_of(rows: Sequence[HistoryRow]) -> Table:
    """The rows as a table; text from files and forms is shown as it is, never as markup."""
    table = Table(box=None, header_style="bold")
    for heading in ("when (UTC)", "what", "summary", "reason"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (f"{row.at:%Y-%m-%d %H:%M:%S}", row.kind, row.summary, row.reason)
        table.add_row(*(cell.replace("[", "\\[") for cell in cells))
    return table


def waiting_lines(ledger: Ledger, model: str, now: dt.datetime) -> list[str]:
    """What waits for a training, and train's last word on it."""
    pending = ledger.pending_requests(model)
    if not pending:
        return ["No request to retrain is waiting."]
    reasons = Counter(request.reason for request in pending)
    told = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    since = dt.datetime.fromisoformat(pending[0].created_at)
    why = why_not(ledger, model, now) or "train has not looked at it yet"
    return [f"Waiting for a training: {told}, since {since:%Y-%m-%d %H:%M:%S}. Train says: {why}."]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="history", description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--limit", type=int, default=50)
    options = parser.parse_args(arguments)
    ledger = open_ledger(settings.load().ledger_url)
    rows = ledger.history(options.model, options.limit)
    if not rows:
        print(f"Nothing has happened to '{options.model}' yet.")
        return 1
    console = Console()
    console.print(table_of(list(reversed(rows))))
    for line in waiting_lines(ledger, options.model, dt.datetime.now(dt.UTC)):
        console.print(line, markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
