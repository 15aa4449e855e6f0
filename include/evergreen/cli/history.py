"""Shows what happened to a model, newest last: files, requests, trainings, deployments, drift.

`python -m include.evergreen.cli.history --model bike_demand [--limit 50]`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from include.evergreen import settings
from include.evergreen.adapters.ledger import HistoryRow, open_ledger


def table_of(rows: Sequence[HistoryRow]) -> Table:
    """The rows as a table; text from files and forms is shown as it is, never as markup."""
    table = Table(box=None, header_style="bold")
    for heading in ("when (UTC)", "what", "summary", "reason"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        cells = (f"{row.at:%Y-%m-%d %H:%M:%S}", row.kind, row.summary, row.reason)
        table.add_row(*(cell.replace("[", "\\[") for cell in cells))
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="history", description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--limit", type=int, default=50)
    options = parser.parse_args(arguments)
    rows = open_ledger(settings.load().ledger_url).history(options.model, options.limit)
    if not rows:
        print(f"Nothing has happened to '{options.model}' yet.")
        return 1
    Console().print(table_of(list(reversed(rows))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
