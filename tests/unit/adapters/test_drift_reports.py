"""The Evidently report: made of a fixed sample, unbroken by odd columns, readable offline."""

import json
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.evergreen.adapters import drift_reports
from include.evergreen.adapters.drift_reports import ReportColumn, write_report
from include.evergreen.errors import DriftReportFailed

NUMBER = ReportColumn("x", "numeric", "psi", 0.25)
WORD = ReportColumn("c", "categorical", "psi", 0.25)


def frame(n: int, mean: float = 0.0, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame({"x": rng.normal(mean, 1, n), "c": rng.choice(["a", "b"], n)})


def write(reference: pl.DataFrame, current: pl.DataFrame, columns, folder: Path):
    return write_report(reference, current, columns, folder, drift_share=0.5, seed=7)


def statuses(written) -> dict[str, str]:
    document = json.loads(written.json.read_text())
    return {
        t["metric_config"]["params"]["column"]: t["status"]
        for t in document["tests"]
        if "column" in t["metric_config"]["params"]
    }


def test_the_report_says_which_column_drifted_and_reads_offline(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = write(frame(1000), frame(400, mean=2), [NUMBER, WORD], tmp_path / "new")
    assert statuses(written) == {"x": "FAIL", "c": "SUCCESS"}
    page = written.html.read_text()
    assert 1_000_000 < len(page) < 8_000_000
    for loaded in ('src="http', "src='http", 'rel="stylesheet" href="http'):
        assert loaded not in page
    assert (written.rows_reference, written.rows_current) == (1000, 400)


def test_the_sample_is_bounded_spread_over_time_and_always_the_same():
    rows = frame(20_003).with_row_index("at")
    columns = [ReportColumn("at", "numeric", "psi", 0.25), NUMBER]
    first = drift_reports._sample(rows, columns, seed=7)
    assert first.height == drift_reports.SAMPLE_ROWS
    assert first.equals(drift_reports._sample(rows, columns, seed=7))
    assert not first.equals(drift_reports._sample(rows, columns, seed=8))
    in_tenths = np.histogram(first["at"].to_numpy(), bins=10, range=(0, 20_003))[0]
    assert (abs(in_tenths - 500) <= 1).all()
    assert first["at"].is_sorted()


def test_the_one_value_of_a_nearly_empty_column_is_in_the_sample():
    rows = frame(20_000).with_columns(
        x=pl.when(pl.int_range(pl.len()) == 12_345).then(1.0).otherwise(None)
    )
    assert drift_reports._sample(rows, [NUMBER, WORD], seed=7)["x"].drop_nulls().to_list() == [1.0]


def test_an_all_null_column_is_left_out_with_a_note(tmp_path: Path):
    empty = frame(300).with_columns(x=pl.lit(None, pl.Float64))
    written = write(frame(300), empty, [NUMBER, WORD], tmp_path)
    assert written.left_out == {"x": "no value in the current rows"}
    assert statuses(written) == {"c": "SUCCESS"}


def test_where_every_column_is_empty_the_failure_says_so(tmp_path: Path):
    empty = frame(300).with_columns(x=pl.lit(float("nan")))
    with pytest.raises(DriftReportFailed, match="nothing for Evidently to show"):
        write(frame(300), empty, [NUMBER], tmp_path)


@pytest.mark.parametrize(
    ("number", "word"),
    [("psi", "psi"), ("jensen_shannon", "jensen_shannon"), ("wasserstein", "chi2"), ("ks", "chi2")],
)
def test_every_method_takes_constants_nulls_and_unseen_categories(
    tmp_path: Path, number: str, word: str
):
    columns = [
        ReportColumn("x", "numeric", number, 0.25),
        ReportColumn("still", "numeric", number, 0.25),
        ReportColumn("gone", "numeric", number, 0.25),
        ReportColumn("c", "categorical", word, 0.25),
        ReportColumn("flag", "categorical", word, 0.25),
    ]
    reference = frame(600).with_columns(still=pl.lit(3), gone=pl.col("x"), flag=pl.col("x") > 0)
    current = reference.with_columns(
        gone=pl.when(pl.col("x") > 2).then(1.0), c=pl.lit("unseen"), still=pl.lit(3)
    )
    seen = statuses(write(reference, current, columns, tmp_path))
    assert seen["c"] == "FAIL"
    assert {seen["x"], seen["flag"]} == {"SUCCESS"}


def test_where_gate_and_evidently_disagree_it_is_the_missing_values(tmp_path: Path):
    """Evidently drops nulls before it compares; the gate measures them by themselves."""
    rows = frame(1000)
    half = rows.with_columns(x=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("x")))
    assert statuses(write(rows, half, [NUMBER], tmp_path)) == {"x": "SUCCESS"}
