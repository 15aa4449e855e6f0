"""Shows what a model's quarantine holds: file, row, column, rule and value, and a count a rule.

`python -m include.evergreen.cli.quarantine --model bike_demand [--limit 20]`
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import polars as pl

from include.evergreen import settings
from include.evergreen.adapters.lake import Lake

COLUMNS = ("_file_uri", "_row_number", "_column", "_rule", "_value")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="quarantine", description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--limit", type=int, default=20)
    options = parser.parse_args(arguments)
    lake = Lake(settings.load())
    if lake.version(options.model, "quarantine") is None:
        print(f"The quarantine of '{options.model}' is empty.")
        return 0
    rows = lake.scan(options.model, "quarantine")
    newest = rows.select(COLUMNS).tail(options.limit).collect()
    rules = rows.group_by("_rule", "_column").len("rows").sort("rows", descending=True).collect()
    with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True, fmt_str_lengths=80):
        print(f"By rule:\n{rules}\n\nThe newest {len(newest)}:\n{newest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
