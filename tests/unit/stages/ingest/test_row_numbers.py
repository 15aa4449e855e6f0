"""Rows keep the numbers they have in the file, however many before them are set aside."""

import time

from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.stages.ingest.parse_csv import _Numbers


@given(st.lists(st.lists(st.booleans(), max_size=30), max_size=6))
def test_good_rows_keep_the_numbers_of_the_file(blocks: list[list[bool]]) -> None:
    numbers, taken, row, expected = _Numbers(), [], 0, []
    for block in blocks:
        good = [row + n for n, ok in enumerate(block, start=1) if ok]
        numbers.skip(row + n for n, ok in enumerate(block, start=1) if not ok)
        row += len(block)
        expected += good
        taken += numbers.take(len(good)).to_list()
    assert taken == expected


def test_half_a_million_bad_lines_in_one_block_cost_no_minutes() -> None:
    numbers, began = _Numbers(), time.process_time()
    numbers.skip(iter(range(1, 1_000_000, 2)))
    assert numbers.take(500_000).to_list()[-1] == 1_000_000
    assert time.process_time() - began < 10, "it once grew with the square"
