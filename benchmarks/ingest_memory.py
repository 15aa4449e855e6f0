"""Peak memory and wall time of ingesting one large CSV, against a bare scan of the same file.

The goal is 1.5 GB of memory for a 2 GB file. Ingest copies and hashes the file, reads every value,
checks every rule, counts duplicates and writes a Delta table; the peer (polars, streaming) reads
every value of the same file and keeps nothing, the least a reader of it can do.

    python benchmarks/ingest_memory.py [--gigabytes 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
GOAL_GB = 1.5
SPEC = """
model: bench
task: regression
data:
  landing: landing/bench
  time: at
  key: id
  target: y
  limits: {max_bytes: 1099511627776}
  columns:
    a: {type: float, min: -100, max: 100}
    b: {type: float, min: -100, max: 100}
    c: {type: float, max_null_share: 0.1}
    d: {type: float, min: 0, max: 1}
    n: {type: integer, min: 0, max: 1000}
    m: {type: integer, min: 0}
    color: {type: category, values: [red, green, blue]}
    place: {type: category}
    flag: {type: boolean}
    y: {type: float}
training: {metric: rmse}
"""
BLOCK_ROWS = 500_000


def write_csv(path: Path, size_bytes: int) -> int:
    """Rows of the spec above, one in a thousand of them bad; how many."""
    import numpy as np
    import polars as pl

    rng, rows = np.random.default_rng(7), 0
    start = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - written without a zone, as most files are
    with path.open("wb") as file:
        while file.tell() < size_bytes:
            numbers = pl.int_range(rows, rows + BLOCK_ROWS, eager=True)
            frame = pl.DataFrame(
                {
                    "id": numbers,
                    "at": pl.select(start + pl.duration(seconds=numbers)).to_series(),
                    "a": rng.normal(0, 10, BLOCK_ROWS).round(6),
                    "b": rng.normal(0, 10, BLOCK_ROWS).round(6),
                    "c": pl.Series(rng.normal(0, 1, BLOCK_ROWS).round(6)).set(
                        pl.Series(rng.random(BLOCK_ROWS) < 0.05), None
                    ),
                    "d": rng.random(BLOCK_ROWS).round(8),
                    "n": rng.integers(0, 1000, BLOCK_ROWS),
                    "m": rng.integers(0, 10**9, BLOCK_ROWS),
                    "color": rng.choice(["red", "green", "blue"], BLOCK_ROWS),
                    "place": rng.choice([f"place_{i}" for i in range(200)], BLOCK_ROWS),
                    "flag": rng.choice(["true", "false"], BLOCK_ROWS),
                    "y": rng.normal(0, 1, BLOCK_ROWS).round(4),
                }
            ).with_columns(a=pl.when(pl.col("id") % 1000 == 7).then(1e6).otherwise("a"))
            frame.write_csv(file, include_header=rows == 0, datetime_format="%Y-%m-%dT%H:%M:%S")
            rows += BLOCK_ROWS
    return rows


def ingest(home: Path) -> dict[str, float]:
    from include.evergreen.settings import load
    from include.evergreen.spec import load_spec
    from include.evergreen.stages.ingest import ingest as stage
    from include.evergreen.stages.resources import Resources

    now = dt.datetime.now(dt.UTC)
    resources = Resources(load_spec(home / "bench.yaml"), load({"EVERGREEN_HOME": str(home)}))
    files = stage.discover_files(resources, now=now + dt.timedelta(hours=1))
    started = time.perf_counter()
    report = stage.ingest_files(resources, files, owner="bench", now=now)
    return {
        "seconds": time.perf_counter() - started,
        "rows": report.rows_appended,
        "bad": report.rows_quarantined,
    }


def scan(home: Path) -> dict[str, float]:
    import polars as pl

    (path,) = (home / "landing" / "bench").glob("*.csv")
    started = time.perf_counter()
    counts = pl.scan_csv(path).select(pl.all().count()).collect(engine="streaming")
    return {"seconds": time.perf_counter() - started, "rows": counts.item(0, 0), "bad": 0}


def measured(side: str, home: Path) -> dict[str, float]:
    """Run one side in a process of its own; what it says, with its peak memory in GB."""
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, "--home", str(home)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def own_peak_gb() -> float:
    """Peak resident memory of this process. `ru_maxrss` would carry over what started it."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=["ingest", "scan"], help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        found = {"ingest": ingest, "scan": scan}[options.side](options.home)
        print(json.dumps(found | {"peak_gb": own_peak_gb()}))
        return
    with tempfile.TemporaryDirectory(prefix="evergreen-bench-") as folder:
        home = Path(folder)
        (home / "landing" / "bench").mkdir(parents=True)
        (home / "bench.yaml").write_text(SPEC)
        rows = write_csv(home / "landing" / "bench" / "a.csv", int(options.gigabytes * 1e9))
        bare, whole = measured("scan", home), measured("ingest", home)
    if whole["rows"] + whole["bad"] != rows:
        raise SystemExit(f"{rows:,} rows were written; ingest saw {whole}")
    report(options.gigabytes, rows, whole, bare, options.json)


def report(
    gigabytes: float,
    rows: int,
    whole: dict[str, float],
    bare: dict[str, float],
    to: Path | None,
) -> None:
    figures = [
        figure("peak memory", whole["peak_gb"], "GB", "polars streaming scan", bare["peak_gb"]),
        figure("wall time", whole["seconds"], "s", "polars streaming scan", bare["seconds"]),
    ]
    figures[0] |= {"goal": GOAL_GB, "met": whole["peak_gb"] <= GOAL_GB}
    print(f"{gigabytes:g} GB of CSV, {rows:,} rows x 12 columns, {whole['bad']:,.0f} of them bad\n")
    print(f"{'':14}{'ingest':>10}{'bare scan':>12}{'ratio':>8}   goal")
    for entry in figures:
        goal = "" if entry["goal"] is None else f"{entry['goal']} {entry['unit']}"
        met = {True: "met", False: "NOT met", None: ""}[entry["met"]]
        print(
            f"{entry['name']:14}{entry['value']:>8.2f} {entry['unit']:<2}"
            f"{entry['against_value']:>9.2f} {entry['unit']:<2}{entry['ratio']:>7.1f}   "
            f"{goal} {met}"
        )
    if to:
        to.write_text(json.dumps({"figures": figures}, indent=2) + "\n")


def figure(name: str, value: float, unit: str, against: str, against_value: float) -> dict:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "against": against,
        "against_value": against_value,
        "ratio": value / against_value,
        "goal": None,
        "met": None,
    }


if __name__ == "__main__":
    main()
