"""CSV, Parquet and JSON Lines, packed or not, and late labels: the same rows in the lake."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from pathlib import Path

import polars as pl
import pytest

from include.evergreen.settings import load
from include.evergreen.spec import load_spec
from include.evergreen.stages.ingest import ingest, parse_csv, parse_jsonl, parse_parquet
from include.evergreen.stages.resources import Resources

from .conftest import LATER

ROWS = [
    {
        "k": f"r{i}",
        "when": f"2024-05-{i % 28 + 1:02d}T{i % 24:02d}:30:00",
        "size": None if i % 7 == 0 else i / 3,
        "count": i,
        "color": ("red", "blue")[i % 2],
        "flag": i % 3 == 0,
        "y": i * 0.1,
        "note": "not in the contract",
    }
    for i in range(100)
]


def as_csv() -> bytes:
    return pl.DataFrame(ROWS).write_csv().encode()


def as_jsonl() -> bytes:
    return "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def as_parquet() -> bytes:
    out = io.BytesIO()
    frame = pl.DataFrame(ROWS).with_columns(pl.col("when").str.to_datetime())
    frame.with_columns(pl.col("color").cast(pl.Categorical)).write_parquet(out)
    return out.getvalue()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("data_format", "write"), [("csv", as_csv), ("jsonl", as_jsonl), ("parquet", as_parquet)]
)
def test_every_format_gives_the_same_rows(zone, data_format, write, packed):
    zone.contract(format=data_format)
    content = gzip.compress(write()) if packed else write()
    zone.land(f"a.{data_format}{'.gz' if packed else ''}", content)
    assert zone.only().rows_appended == 100
    table = zone.table()
    assert table["k"].to_list() == [row["k"] for row in ROWS]
    assert table["size"].to_list() == pytest.approx([row["size"] for row in ROWS], nan_ok=True)
    assert table["_row_number"].to_list() == list(range(1, 101))
    assert table["when"][1] == dt.datetime(2024, 5, 2, 1, 30, tzinfo=dt.UTC)
    assert table.schema["when"] == pl.Datetime("us", "UTC")
    assert dict(table.select("size", "count", "color", "flag").schema) == {
        "size": pl.Float64,
        "count": pl.Int64,
        "color": pl.String,
        "flag": pl.Boolean,
    }
    assert "note" not in table.columns


@pytest.mark.parametrize(
    ("module", "setting", "value"),
    [
        (parse_csv, "BLOCK_BYTES", 512),
        (parse_jsonl, "BATCH_LINES", 7),
        (parse_parquet, "BATCH_ROWS", 7),
    ],
)
def test_row_numbers_run_on_over_many_batches(zone, monkeypatch, make_row, module, setting, value):
    monkeypatch.setattr(module, setting, value)
    data_format = module.__name__.rpartition("_")[2]
    zone.contract(format=data_format)
    zone.land(f"a.{data_format}", {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}[
        data_format
    ]())  # fmt: skip
    zone.ingest()
    assert zone.table()["_row_number"].to_list() == list(range(1, 101))
    assert zone.table()["count"].to_list() == list(range(100))


def test_row_numbers_stay_true_when_rows_are_set_aside_in_many_blocks(zone, monkeypatch, make_row):
    monkeypatch.setattr(parse_csv, "BLOCK_BYTES", 300)
    lines = [f"short,{i}" if i % 11 == 5 else make_row(f"r{i}") for i in range(1, 201)]
    zone.land("a.csv", lines)
    zone.ingest()
    expected = [i for i in range(1, 201) if i % 11 != 5]
    assert zone.table()["_row_number"].to_list() == expected
    assert zone.keys == [f"r{i}" for i in expected]
    assert [number for number, _, _ in zone.bad] == [i for i in range(1, 201) if i % 11 == 5]


def test_csv_values_may_hold_commas_quotes_and_line_breaks(zone):
    zone.contract(columns={"color": {"values": None}})
    header = "\ufeffk,when,size,count,color,flag,y\r\n"
    zone.land("a.csv", (header + 'a,2024-01-01,1,1,"a, ""b""\nc",true,1\r\n').encode())
    assert zone.only().rows_appended == 1
    assert zone.table()["color"].to_list() == ['a, "b"\nc']


def test_a_quote_that_is_never_closed_refuses_the_file(zone, make_row, monkeypatch):
    monkeypatch.setattr(parse_csv, "BLOCK_BYTES", 1000)
    zone.land("a.csv", [make_row("a"), '"open', *[make_row(f"b{i}") for i in range(100)]])
    assert zone.only().rule in {"quotes", "parse"}


def test_json_lines_that_are_no_object_are_set_aside(zone):
    zone.contract(format="jsonl")
    lines = as_jsonl().splitlines()[:20]
    bad = [b"{broken", b"[1, 2]", b'{"k": NaN}', b'"text"']
    nested = json.dumps(ROWS[30] | {"size": {"value": 1}}).encode()
    zone.land("a.jsonl", b"\n".join([*lines, *bad, b"", nested]))
    outcome = zone.only()
    assert (outcome.rows_appended, outcome.rows_quarantined) == (20, 5)
    assert [(number, rule) for number, _, rule in zone.bad] == [
        (21, "json"), (22, "json"), (23, "json"), (24, "json"), (26, "type"),
    ]  # fmt: skip


def test_json_that_names_a_value_twice_is_refused(zone):
    zone.contract(format="jsonl")
    zone.land("a.jsonl", b'{"k": "a", "k": "b"}\n')
    assert zone.only().rule == "duplicate_columns"


@pytest.mark.parametrize("content", [b"\n\n", b"[]\n", b"[" * 100_000, b'{"a":' * 100_000])
def test_json_that_holds_no_object_is_refused(zone, content):
    zone.contract(format="jsonl")
    zone.land("a.jsonl", content)
    assert zone.only().state == "quarantined"


def test_json_rows_that_were_quarantined_come_back_from_their_lines(zone):
    zone.contract(format="jsonl")
    zone.land("a.jsonl", as_jsonl() + json.dumps(ROWS[5] | {"k": "big", "size": 500}).encode())
    assert zone.only().rows_quarantined == 1
    zone.contract(columns={"size": {"max": 1000}})
    assert zone.replay().rows_appended == 1
    assert zone.table().filter(pl.col("k") == "big")["size"].to_list() == [500.0]


def test_parquet_rows_that_were_quarantined_come_back_with_their_times(zone):
    zone.contract(format="parquet")
    frame = pl.DataFrame(ROWS).with_columns(pl.col("when").str.to_datetime())
    frame = frame.with_columns(
        size=pl.when(pl.col("count") == 50).then(500.0).otherwise(pl.col("size"))
    )
    out = io.BytesIO()
    frame.write_parquet(out)
    zone.land("a.parquet", out.getvalue())
    assert zone.only().rows_quarantined == 1
    zone.contract(columns={"size": {"max": 1000}})
    assert zone.replay().rows_appended == 1
    row = zone.table().filter(pl.col("count") == 50).row(0, named=True)
    assert (row["size"], row["when"]) == (500.0, frame["when"][50].replace(tzinfo=dt.UTC))


@pytest.fixture
def late(zone):
    zone.contract(labels={"landing": "landing/labels", "key": "k"})
    return zone


def test_rows_may_come_without_their_target_where_labels_come_later(late, make_row):
    late.land("a.csv", "k,when,size,count,color,flag\na,2024-01-01,1,1,red,1\n")
    late.land("b.csv", [make_row("b", y="")])
    assert late.ingest().rows_appended == 2
    assert late.table()["y"].to_list() == [None, None]


def test_the_label_that_came_last_wins_and_bad_ones_are_set_aside(late, make_row):
    late.land("a.csv", [make_row("a", y=""), make_row("b", y="")])
    late.land_labels("1.csv", "k,y", "a,1", "b,2", "c,3", ",4", *[f"x{i},1" for i in range(9)])
    report = late.ingest()
    assert {outcome.kind: outcome.rows_appended for outcome in report.files} == {
        "rows": 2, "labels": 12,
    }  # fmt: skip
    late.land_labels("2.csv", "k,y,when", "a,10,2024-01-01")
    late.ingest()
    labels = late.resources.lake.latest_labels("demo", "k").collect()
    found = dict(labels.select("k", "y").iter_rows())
    assert (found["a"], found["b"]) == (10.0, 2.0)
    assert late.bad == [(4, "k", "not_null")]
    reasons = [
        request.details["kind"] for request in late.resources.ledger.pending_requests("demo")
    ]
    assert reasons == ["rows", "labels", "labels"]


def test_a_label_taken_back_to_an_earlier_value_wins_again(late):
    for value in ("1", "2", "1"):
        late.land_labels("l.csv", "k,y", f"a,{value}", f"b{value}{len(late.table('labels'))},0")
        late.ingest()
    labels = late.resources.lake.latest_labels("demo", "k").collect()
    assert dict(labels.select("k", "y").iter_rows())["a"] == 1.0


def test_labels_whose_key_has_another_name_are_joined_under_the_rows_name(late):
    late.contract(labels={"landing": "landing/labels", "key": "ride"})
    late.land_labels("l.csv", "ride,y", "a,1")
    assert late.ingest().rows_appended == 1
    table = late.table("labels")
    assert (table["k"].to_list(), table["ride"].to_list()) == (["a"], ["a"])


@pytest.mark.parametrize(
    ("model", "source", "rows"),
    [
        ("bike_demand", "bike_sharing_hourly.csv.gz", 17_379),
        ("electricity", "electricity_half_hourly.csv.gz", 45_312),
    ],
)
def test_the_real_files_pass_their_shipped_contracts_whole(
    tmp_path: Path, project_root: Path, shared_data: Path | None, model, source, rows
):
    if shared_data is None:
        pytest.skip("the folder of real data is not here (EVERGREEN_SHARED_DATA)")
    spec = load_spec(project_root / "include" / "models" / f"{model}.yaml")
    settings = load({"EVERGREEN_HOME": str(tmp_path)})
    zone = Path(spec.landing_uri(settings))
    zone.mkdir(parents=True)
    (zone / source).write_bytes((shared_data / source).read_bytes())
    resources = Resources(spec, settings)
    files = ingest.discover_files(resources, now=LATER)
    report = ingest.ingest_files(resources, files, owner="x", now=LATER)
    assert (report.rows_appended, report.rows_quarantined) == (rows, 0)
