"""Fuzzes one reader within bounds: `python -m tests.fuzz csv --seconds 60`.

Ends with 0 if the time passed and nothing was found; what breaks the promise of `guarantee`, takes
longer than `--each` seconds or more than `--memory-mib` ends it with another status, and the file
that did it is kept in the folder of `--found`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["include.evergreen.stages"]):
    from tests.fuzz import guarantee

from tests.fuzz.seeds import write_corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", choices=guarantee.FORMATS)
    parser.add_argument("--seconds", type=int, default=60, help="how long in all")
    parser.add_argument("--each", type=int, default=20, help="longest time for one file")
    parser.add_argument("--memory-mib", type=int, default=2048, help="most memory (RSS)")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--found", type=Path, default=Path(".evergreen/fuzz"))
    args = parser.parse_args()
    args.found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evergreen-corpus-") as corpus:
        write_corpus(args.format, Path(corpus))
        atheris.Setup(
            [
                sys.argv[0],
                corpus,
                f"-max_total_time={args.seconds}",
                f"-timeout={args.each}",
                f"-rss_limit_mb={args.memory_mib}",
                f"-max_len={guarantee.MAX_BYTES + 1000}",
                f"-seed={args.seed}",
                f"-artifact_prefix={args.found}/{args.format}-",
                "-print_final_stats=1",
            ],
            lambda content: guarantee.take(content, args.format),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
