"""Ingests in a process of its own: `python -m tests.unit.stages.ingest.measured HOME`.

Prints what became of the files, and by how many MiB the peak of memory rose over that of a small
file.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
import tempfile
from pathlib import Path

from include.evergreen.contracts import IngestReport
from include.evergreen.errors import EvergreenError
from include.evergreen.settings import load
from include.evergreen.spec import load_spec
from include.evergreen.stages.ingest import ingest
from include.evergreen.stages.resources import Resources

LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
#: More than any of this needs, and far less than what a bomb would take.
ADDRESS_SPACE = 8 * 2**30


def taken(home: Path) -> IngestReport:
    resources = Resources(load_spec(home / "demo.yaml"), load({"EVERGREEN_HOME": str(home)}))
    files = ingest.discover_files(resources, now=LATER)
    return ingest.ingest_files(resources, files, owner="measured", now=LATER)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(home: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    with tempfile.TemporaryDirectory() as small:
        document = (home / "demo.yaml").read_text()
        Path(small, "demo.yaml").write_text(document)
        Path(small, "landing", "demo").mkdir(parents=True)
        name = "a.parquet" if "format: parquet" in document else "a.csv"
        Path(small, "landing", "demo", name).write_bytes((home / "small").read_bytes())
        taken(Path(small))
    before = peak_mib()
    report = taken(home)
    told = ""
    try:
        ingest.raise_problems(report)
    except EvergreenError as error:
        told = f"{type(error).__name__}, retryable {error.retryable}: {error}"
    states = {f.uri.rpartition("/")[2]: [f.state, f.rule, f.reason] for f in report.files}
    sys.stdout.write(json.dumps({"files": states, "rose_mib": peak_mib() - before, "told": told}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
