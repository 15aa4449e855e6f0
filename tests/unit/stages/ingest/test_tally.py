"""Duplicates are counted exactly while they fit, and nearly so when they do not."""

import polars as pl
import pytest

from include.evergreen.stages.ingest.tally import DistinctRows


def hashes(values: pl.Series) -> pl.Series:
    return values.to_frame().hash_rows()


def count(values: pl.Series, kept: int, step: int = 1000) -> int:
    rows = DistinctRows(kept)
    for start in range(0, len(values), step):
        rows.add(hashes(values[start : start + step]))
    return rows.repeated()


@pytest.mark.parametrize("distinct", [1, 7, 5_000, 20_000])
def test_it_is_exact_while_the_distinct_rows_fit(distinct):
    values = pl.int_range(0, 20_000, eager=True) % distinct
    assert count(values, kept=20_000) == 20_000 - distinct


@pytest.mark.parametrize("distinct", [30_000, 100_000, 200_000])
def test_it_is_near_when_they_do_not(distinct):
    values = pl.int_range(0, 200_000, eager=True) % distinct
    assert count(values, kept=10_000) == pytest.approx(200_000 - distinct, abs=6_000)


def test_one_row_that_makes_up_most_of_a_file_does_not_mislead_the_sample():
    values = pl.concat([pl.int_range(0, 100_000, eager=True), pl.Series([1] * 100_000)])
    assert count(values, kept=5_000) == pytest.approx(100_000, abs=5_000)
