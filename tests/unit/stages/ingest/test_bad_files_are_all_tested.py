"""Every bad file of the list, 1 to 28, has a test that begins with its number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

STAGES = Path(__file__).parents[1]
MODULES = (
    STAGES / "ingest" / "test_bad_files.py",
    STAGES / "ingest" / "test_bad_file_memory.py",
    STAGES / "ingest" / "test_bad_zones.py",
    STAGES / "training" / "test_bad_rows.py",
)


def numbers_of(source: str) -> Iterator[int]:
    """The numbers that the tests of a module are about, from their names."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            for number in re.findall(r"(?<=_)(\d\d)(?=_)", node.name):
                yield int(number)


@pytest.mark.parametrize("number", range(1, 29))
def test_every_bad_file_has_a_test(number):
    tested = {found for module in MODULES for found in numbers_of(module.read_text())}
    assert number in tested


def test_a_number_without_a_test_is_found():
    assert set(numbers_of("def test_01_a(): ...\ndef test_b_02_c(): ...\ndef x_03_y(): ...")) == {
        1,
        2,
    }
