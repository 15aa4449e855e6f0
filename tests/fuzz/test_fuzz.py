"""A few seconds of fuzzing each reader; and the fuzzer finds what is planted for it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.guarantee import FORMATS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris has no wheel for this platform; the property tests ran all the same",
)
_PLANTED = """
import sys, time
from include.evergreen.stages.ingest import parse_jsonl
held = []
def broken(number, text, wanted):
    {harm}
parse_jsonl.row_of = broken
from tests.fuzz.__main__ import main
main()
"""


def _fuzz(project_root: Path, found: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command, "--seed", "7", "--found", str(found)],
        cwd=project_root,
        env={**os.environ, "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_few_seconds_of_fuzzing_find_nothing(project_root, tmp_path, data_format):
    ran = _fuzz(project_root, tmp_path, "-m", "tests.fuzz", data_format, "--seconds", "4")
    assert ran.returncode == 0, ran.stderr[-3000:]
    done = re.search(r"Done (\d+) runs", ran.stderr)
    assert done, ran.stderr[-500:]
    assert int(done[1]) > 50, "it looked at some files"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("raise KeyError(number)", "KeyError"),
        ("time.sleep(60)", "timeout"),
        ("held.append(bytearray(2**30)); time.sleep(3)", "out-of-memory"),
    ],
)
def test_a_reader_that_breaks_hangs_or_hoards_is_found(project_root, tmp_path, harm, said):
    planted = _PLANTED.format(harm=harm)
    bounds = ("--seconds", "30", "--each", "6", "--memory-mib", "700")
    ran = _fuzz(project_root, tmp_path, "-c", planted, "jsonl", *bounds)
    assert ran.returncode != 0
    assert said in ran.stdout + ran.stderr, ran.stderr[-3000:]
