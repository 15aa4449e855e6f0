r"""Simulates months of one of the shipped models into a CSV, with the troubles you ask for.

python -m include.evergreen.simulator --model bike_demand --start 2012-06-01 --months 2 \
        --drift --out .evergreen/landing/bike_demand/summer.csv
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path

from include.evergreen.simulator import (
    labels_of,
    simulate_bike,
    simulate_electricity,
    write_csv,
)

_SIMULATORS = {"bike_demand": simulate_bike, "electricity": simulate_electricity}
_FIRST = {"bike_demand": dt.date(2011, 1, 1), "electricity": dt.date(1996, 5, 7)}


def add_months(day: dt.date, months: int) -> dt.date:
    """The same day `months` later, or the last day of that month if it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    following = dt.date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return dt.date(year, month + 1, min(day.day, (following - dt.timedelta(days=1)).day))


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    start = options.start or _FIRST[options.model]
    days = options.days or (add_months(start, options.months) - start).days
    drift = options.drift or 0.0
    switches = {
        "seed": options.seed,
        "covariate_drift": options.covariate_drift or drift,
        "concept_drift": options.concept_drift or drift,
        "schema_break": options.schema_break,
        "dirty_share": options.dirty_share,
    }
    simulate = _SIMULATORS[options.model]
    try:
        late = options.labels_out is not None
        frame = simulate(start, days, late_labels=late, **switches)
        if late:
            known = simulate(start, days, **switches)
            write_csv(labels_of(known, options.model), options.labels_out)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    write_csv(frame, options.out)
    sys.stdout.write(
        f"{frame.height:,} rows of {options.model}, {start} and {days} days on: {options.out}\n"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.evergreen.simulator",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=sorted(_SIMULATORS), default="bike_demand")
    parser.add_argument("--start", type=dt.date.fromisoformat, help="first day, YYYY-MM-DD")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--months", type=int, default=1)
    length.add_argument("--days", type=int)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, required=True, help="a .csv or .csv.gz file")
    parser.add_argument(
        "--drift", type=float, nargs="?", const=1.0, help="both drifts; 0 to 1, alone: 1"
    )
    parser.add_argument("--covariate-drift", type=float, default=0.0, help="0 to 1")
    parser.add_argument("--concept-drift", type=float, default=0.0, help="0 to 1")
    parser.add_argument("--schema-break", action="store_true", help="a renamed column, other unit")
    parser.add_argument("--dirty-share", type=float, default=0.0, help="0 to 1: rows that break")
    parser.add_argument(
        "--labels-out", type=Path, help="late labels: leave them out and write them to this file"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
