"""Bad files 1 to 24, each a real file: quarantined with its reason while the rest goes on.

Memory is measured in `test_bad_file_memory`, permissions and S3 are in `test_bad_zones`, and what
only a training can tell (15, 16, 28) is in `training/test_bad_rows`. Every test here begins with
the numbers it is about; `test_every_bad_file_has_a_test` counts them.
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.evergreen.errors import QuarantineOverflow
from include.evergreen.stages.ingest import ingest

LATER = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def good(make_row: Callable[..., str]) -> list[str]:
    return [make_row(f"g{index}") for index in range(20)]


def refused_while_the_rest_goes_on(zone, good: list[str]) -> tuple[str, str]:
    """Ingest what landed next to a good file; the bad one's rule and reason."""
    landed = contents(zone)
    zone.land("zz_good.csv", good)
    report = zone.ingest()
    assert contents(zone).items() >= landed.items(), "what landed lies where it landed"
    states = {outcome.uri.rpartition("/")[2]: outcome for outcome in report.files}
    assert states.pop("zz_good.csv").state == "appended"
    (bad,) = states.values()
    assert bad.state == "quarantined", bad
    assert zone.keys == [f"g{index}" for index in range(20)]
    assert report.problems == ()
    assert bad in zone.resources.ledger.file_outcomes("demo")
    assert len(zone.resources.ledger.pending_requests("demo")) == 1, "for the good one only"
    assert not (zone.home / "mlflow").exists(), "nobody came near the champion"
    record = zone.table("quarantine").filter(pl.col("_row_number").is_null()).row(0, named=True)
    assert record["_file_uri"] == bad.uri
    assert (record["_rule"], record["_reason"]) == (bad.rule, bad.reason)
    assert zone.ingest().files == (), "a quarantined file is dealt with"
    return bad.rule, bad.reason


def contents(zone) -> dict[str, bytes]:
    files = [path for path in zone.directory.iterdir() if path.is_file() and not path.is_symlink()]
    return {path.name: path.read_bytes() for path in files if path.stat().st_size < 2**30}


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def test_01_zero_bytes(zone, good):
    zone.land("a.csv", "")
    assert refused_while_the_rest_goes_on(zone, good)[0] == "empty"


def test_01_zero_bytes_within_gzip(zone, good):
    zone.land("a.csv.gz", packed(b""))
    assert refused_while_the_rest_goes_on(zone, good)[0] == "empty"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_02_header_only(zone, good, end):
    zone.land("a.csv", "k,when,size,count,color,flag,y" + end)
    assert refused_while_the_rest_goes_on(zone, good)[0] == "empty"


def test_03_truncated_gzip(zone, good, make_row):
    text = "\n".join(make_row(f"r{index}") for index in range(5000))
    zone.land("a.csv.gz", packed(text.encode())[:-20])
    rule, reason = refused_while_the_rest_goes_on(zone, good)
    assert rule == "truncated"
    assert "ends in the middle" in reason


def test_03_damaged_gzip(zone, good, make_row):
    content = bytearray(packed("\n".join(make_row(f"r{i}") for i in range(5000)).encode()))
    content[len(content) // 2] ^= 0xFF
    zone.land("a.csv.gz", bytes(content))
    assert refused_while_the_rest_goes_on(zone, good)[0] == "truncated"


def parquet_bytes(**columns) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


@pytest.fixture
def parquet_zone(zone):
    zone.contract(format="parquet", time=None)
    return zone


def a_row(**changes) -> dict:
    usual = {"k": ["a"], "size": [1.0], "count": [1], "color": ["red"], "flag": [True], "y": [1.0]}
    return usual | changes


def only_refusal(zone) -> str:
    """The rule by which the one bad file was refused, while a good one was taken."""
    landed = contents(zone)
    zone.land("zz_good.parquet", parquet_bytes(**a_row(k=["good"])))
    report = zone.ingest()
    assert contents(zone).items() >= landed.items(), "what landed lies where it landed"
    states = {outcome.uri.rpartition("/")[2]: outcome for outcome in report.files}
    assert states.pop("zz_good.parquet").state == "appended"
    assert zone.keys == ["good"]
    (bad,) = states.values()
    assert bad.state == "quarantined"
    return bad.rule


@pytest.mark.parametrize("cut", [1, 8, 40])
def test_03_parquet_without_its_footer(parquet_zone, cut):
    parquet_zone.land("a.parquet", parquet_bytes(**a_row())[:-cut])
    assert only_refusal(parquet_zone) in {"truncated", "footer", "parse"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", packed(b"k,y\n1,2\n")),
        ("a.csv.gz", b"k,y\n1,2\n"),
        ("a.csv", parquet_bytes(k=["a"])),
        ("a.parquet", parquet_bytes(k=["a"])),
        ("a.json", b'{"k": 1}\n'),
        ("a.exe", b"k,y\n1,2\n"),
    ],
)
def test_04_extension_content_and_format_disagree(zone, good, name, content):
    zone.land(name, content)
    assert refused_while_the_rest_goes_on(zone, good)[0] in {"extension", "content"}


def test_05_a_gzip_bomb_is_cut_off_at_the_byte_limit(zone, good, tmp_path):
    zone.contract(limits={"max_bytes": 5_000_000})
    zone.land("bomb.csv.gz", packed(b"0" * 50_000_000))
    rule, reason = refused_while_the_rest_goes_on(zone, good)
    assert rule == "too_large"
    assert "5,000,000 bytes after decompression" in reason
    assert list((zone.home / "work" / "ingest").iterdir()) == [], "the work files are gone"


def test_05_a_bomb_of_many_gzip_members_is_cut_off_too(zone, good):
    zone.contract(limits={"max_bytes": 1_000_000})
    zone.land("bomb.csv.gz", packed(b"0" * 100_000) * 50)
    assert refused_while_the_rest_goes_on(zone, good)[0] == "too_large"


def test_05_a_file_over_the_limit_is_not_even_copied(zone, good):
    zone.contract(limits={"max_bytes": 10_000})
    with zone.land("a.csv", "").open("wb") as sparse:
        sparse.truncate(2**36)
    assert refused_while_the_rest_goes_on(zone, good)[0] == "too_large"


def claiming(rows: int) -> bytes:
    """A parquet file of one row whose footer claims others."""
    content = parquet_bytes(**a_row())
    length = struct.unpack("<I", content[-8:-4])[0]
    footer = content[-8 - length : -8]
    # The thrift zigzag varint of num_rows 1 is 0x02, in field 3 of the footer: 0x16 0x02.
    at = footer.index(b"\x16\x02\x19")
    footer = footer[: at + 1] + zigzag(rows) + footer[at + 2 :]
    return content[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"


@pytest.mark.parametrize(
    ("claimed", "rule"), [(2**40, "too_many_rows"), (7, "footer"), (0, "footer")]
)
def test_06_parquet_that_claims_rows_it_has_not(parquet_zone, claimed, rule):
    parquet_zone.land("a.parquet", claiming(claimed))
    assert only_refusal(parquet_zone) == rule


def zigzag(number: int) -> bytes:
    number, out = number << 1, bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def test_06_a_parquet_file_over_the_limits_is_refused_before_it_is_read(parquet_zone):
    parquet_zone.contract(limits={"max_rows": 10})
    many = {name: values * 11 for name, values in a_row().items()}
    parquet_zone.land("a.parquet", parquet_bytes(**many))
    assert only_refusal(parquet_zone) == "too_many_rows"


class Bomb:
    def __reduce__(self):
        return os.system, ("touch /tmp/evergreen_was_here",)


@pytest.mark.parametrize("name", ["a.pkl", "a.csv", "a", "a.npy"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_07_a_pickle_is_never_loaded(zone, good, name, protocol):
    zone.land(name, pickle.dumps(Bomb(), protocol=protocol))
    refused_while_the_rest_goes_on(zone, good)
    assert not Path("/tmp/evergreen_was_here").exists()


def test_07_numpy_object_arrays_and_archives_are_never_loaded(zone, good):
    out = io.BytesIO()
    np.save(out, np.array([Bomb()], dtype=object), allow_pickle=True)
    zone.land("a", out.getvalue())
    assert refused_while_the_rest_goes_on(zone, good)[0] == "content"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packing:
        packing.writestr("a.csv", "k\n1\n")
    zone.land("b.csv", archive.getvalue())
    assert zone.only().rule == "content"


def test_07_parquet_columns_of_bytes_or_lists_are_not_loaded(parquet_zone):
    for name, values in (("x", [b"\x80\x04"]), ("y", [[1.0]])):
        parquet_zone.land(f"{name}.parquet", parquet_bytes(**a_row(size=values)))
        outcome = parquet_zone.only()
        assert (outcome.state, outcome.rule) == ("quarantined", "type")


@pytest.mark.parametrize(
    "content",
    [
        b"k,when,size,count,color,flag,y\n" + "é,2024-01-01,1,1,red,1,1\n".encode("latin1"),
        "k,when,size,count,color,flag,y\na,2024-01-01,1,1,red,1,1\n".encode("utf-16"),
        b"k,when,size,count,color,flag,y\na\x00b,2024-01-01,1,1,red,1,1\n",
    ],
)
def test_08_wrong_encoding_or_nul_bytes(zone, good, content):
    zone.land("a.csv", content)
    assert refused_while_the_rest_goes_on(zone, good)[0] == "encoding"


def test_09_duplicate_column_names(zone, good):
    zone.land("a.csv", "k,when,size,count,color,flag,y,size\na,2024-01-01,1,1,red,1,1,2\n")
    rule, reason = refused_while_the_rest_goes_on(zone, good)
    assert rule == "duplicate_columns"
    assert reason.endswith("size.")


def test_10_reordered_columns_are_matched_by_name_and_11_extra_ones_kept_out(zone, caplog):
    caplog.set_level("INFO")
    zone.land("a.csv", "y, flag,secret,color,count,size,when,k\n7,0,s,blue,3,2.5,2024-01-01,a\n")
    assert zone.only().rows_appended == 1
    row = zone.table().row(0, named=True)
    assert (row["k"], row["size"], row["count"], row["color"], row["flag"], row["y"]) == (
        "a", 2.5, 3, "blue", False, 7.0,
    )  # fmt: skip
    assert "secret" not in row
    assert "1 columns that the contract does not name are kept out: secret" in caplog.text


def test_11_a_missing_column(zone, good):
    zone.land("a.csv", "k,when,size,count,flag,y\na,2024-01-01,1,1,1,1\n")
    rule, reason = refused_while_the_rest_goes_on(zone, good)
    assert rule == "missing_column"
    assert "lacks 1 of the contract's columns: color" in reason


def test_a_separator_that_is_no_comma_is_named(zone, good):
    zone.land("a.csv", "k;when;size;count;color;flag;y\na;2024-01-01;1;1;red;1;1\n")
    assert refused_while_the_rest_goes_on(zone, good)[0] == "separator"


@pytest.mark.parametrize(
    ("changes", "column", "rule"),
    [
        ({"count": '"1,000"'}, "count", "type"),
        ({"count": "1.5"}, "count", "type"),
        ({"count": "9223372036854775808"}, "count", "type"),
        ({"count": ""}, "count", "not_null"),
        ({"count": "NaN"}, "count", "not_null"),
        ({"size": "inf"}, "size", "finite"),
        ({"size": "-Infinity"}, "size", "finite"),
        ({"size": "1e308"}, "size", "finite"),
        ({"size": "100.01"}, "size", "max"),
        ({"size": "-0.01"}, "size", "min"),
        ({"y": "NaN"}, "y", "not_null"),
        ({"y": "1e39"}, "y", "finite"),
        ({"color": "green"}, "color", "values"),
        ({"color": "Red"}, "color", "values"),
        ({"flag": "maybe"}, "flag", "type"),
        ({"when": "9999-12-31"}, "when", "year"),
        ({"when": "01/02/2024"}, "when", "type"),
        ({"when": "2024-02-30"}, "when", "type"),
        ({"when": ""}, "when", "not_null"),
    ],
)
def test_12_13_17_21_a_bad_value_quarantines_its_row_only(
    zone, good, make_row, changes, column, rule
):
    lines = good.copy()
    lines.insert(4, make_row("bad", **changes))
    zone.land("a.csv", lines)
    outcome = zone.only()
    assert (outcome.state, outcome.rows_appended, outcome.rows_quarantined) == ("appended", 20, 1)
    assert zone.bad == [(5, column, rule)]
    assert "bad" not in zone.keys
    record = zone.table("quarantine").row(0, named=True)
    assert record["_value"] == (changes[column].strip('"') or None)
    assert '"k":"bad"' in record["_row"]
    assert record["_file_digest"] == outcome.digest


def test_12_a_row_that_breaks_several_rules_is_recorded_once(zone, good, make_row):
    zone.land("a.csv", [*good, make_row("bad", size="-1", count="x", color="green")])
    zone.ingest()
    record = zone.table("quarantine").row(0, named=True)
    assert (record["_column"], record["_rule"]) == ("size", "min")
    assert record["_reason"] == "size is below 0.0"
    assert record["_also"] == "count:type color:values"


def test_rows_with_too_many_or_too_few_fields_are_set_aside_with_their_numbers(zone, good):
    zone.land("a.csv", [*good[:3], "short,1", *good[3:18], "long,1,2,3,4,5,6,7,8", *good[18:]])
    assert zone.only().rows_appended == 20
    assert zone.bad == [(4, "", "fields"), (20, "", "fields")]
    assert zone.table()["_row_number"].to_list() == [n for n in range(1, 23) if n not in (4, 20)]


def test_13_missing_values_and_nan_are_counted_against_the_share(zone, good, make_row):
    lines = [make_row(f"n{i}", size=("NaN", "", "NA")[i % 3]) for i in range(21)]
    zone.land("a.csv", [*good[:9], *lines])
    outcome = zone.only()
    assert (outcome.state, outcome.rule) == ("quarantined", "null_share")
    assert "Column 'size' has 21 nulls in 30 rows (70.00%)" in outcome.reason
    zone.land("b.csv", [*good, *lines[:5]])
    assert zone.only().rows_appended == 25


def test_14_a_column_that_is_all_null(zone, good, make_row):
    zone.land("a.csv", [make_row(f"n{i}", count="") for i in range(10)])
    rule, reason = refused_while_the_rest_goes_on(zone, good)
    assert rule == "all_null"
    assert "'count' is missing in all 10 rows" in reason


def test_15_16_a_constant_target_is_kept(zone, make_row):
    zone.land("a.csv", [make_row(f"c{i}", y="1") for i in range(10)])
    assert zone.only().rows_appended == 10


def test_17_an_unseen_category_may_be_taken_as_missing(zone, good, make_row):
    zone.contract(columns={"color": {"unseen": "as_missing"}})
    zone.land("a.csv", [*good, make_row("new", color="green")])
    assert zone.only().rows_appended == 21
    assert zone.table()["color"].to_list()[-1] == "green", "the model's features make it missing"


def test_18_the_same_file_again_is_a_no_op_that_says_so(zone, good):
    zone.land("a.csv", good)
    assert zone.only().state == "appended"
    zone.land("b.csv", good)
    again = zone.only()
    assert (again.state, again.rows_appended) == ("known", 0)
    assert "appended before, as file://" in again.reason
    assert len(zone.keys) == 20
    assert zone.ingest().files == ()


def test_19_mostly_duplicate_rows(zone, good, make_row):
    zone.land("a.csv", [make_row("same")] * 30 + [make_row(f"x{i}") for i in range(20)])
    rule, reason = refused_while_the_rest_goes_on(zone, good)
    assert rule == "duplicate_rows"
    assert "29 of 50 rows (58.0%)" in reason


def test_20_a_million_categories(zone, make_row):
    zone.contract(columns={"color": {"values": None}})
    text = "\n".join(make_row(f"k{i}", color=f"c{i}") for i in range(200_000))
    zone.land("a.csv", f"k,when,size,count,color,flag,y\n{text}\n")
    outcome = zone.only()
    assert (outcome.state, outcome.rule) == ("quarantined", "too_many_categories")
    assert "more than 1,000 different values" in outcome.reason
    assert zone.keys == []


def test_21_times_with_and_without_a_zone_in_one_file(zone, good, make_row):
    zone.land("a.csv", [make_row("a", when="2024-01-01T00:00:00Z"), *[make_row("b")] * 2])
    rule, reason = refused_while_the_rest_goes_on(zone, good)
    assert rule == "mixed_zones"
    assert "Times of when" in reason


def test_21_times_take_the_zone_they_name_or_that_of_the_spec(zone, make_row):
    zone.contract(time_zone="Europe/Berlin")
    zone.land("a.csv", [make_row("a", when="2024-07-01T12:00:00")])
    zone.land(
        "b.csv",
        [
            make_row("b", when="2024-07-01T12:00:00+02:00"),
            make_row("c", when="2024-01-01 12:00-05:00"),
        ],
    )
    assert zone.ingest().rows_appended == 3
    hours = {row["k"]: row["when"].hour for row in zone.table().iter_rows(named=True)}
    assert hours == {"a": 10, "b": 10, "c": 17}


@pytest.mark.parametrize(
    "name", ["a\nb;x.csv", "%2e%2e%2fx.csv", "\u0430.csv", "$(x) {{ ds }}.csv"]
)
def test_22_a_strange_name_is_data(zone, good, name):
    zone.land(name, good)
    outcome = zone.only()
    assert outcome.rows_appended == 20
    assert outcome.uri.isascii()
    assert sorted(path.name for path in zone.home.iterdir() if path.is_dir()) == [
        "lake", "landing", "work",
    ]  # fmt: skip


def test_23_links_and_fifos_are_not_opened(zone, good, tmp_path):
    (tmp_path / "secret.csv").write_text("secret")
    (zone.directory / "link.csv").symlink_to(tmp_path / "secret.csv")
    assert refused_while_the_rest_goes_on(zone, good)[0] == "symlink"
    os.mkfifo(zone.directory / "fifo.csv")
    outcome = zone.only()
    assert (outcome.rule, outcome.state) == ("fifo", "quarantined")
    assert outcome.reason.endswith("fifo.csv is a FIFO. Not opened.")


def test_24_a_file_swapped_between_hash_and_read_changes_nothing(zone, good, monkeypatch):
    """What is parsed is the private copy whose bytes were hashed."""
    zone.land("a.csv", good)
    parse = ingest.Intake._read

    def swap_then_read(intake, origin, path):
        zone.land("a.csv", [line.replace("g", "evil") for line in good])
        return parse(intake, origin, path)

    monkeypatch.setattr(ingest.Intake, "_read", swap_then_read)
    outcome = zone.only()
    assert outcome.rows_appended == 20
    assert zone.keys == [f"g{i}" for i in range(20)]
    monkeypatch.undo()
    assert zone.only().digest != outcome.digest, "the swapped one is another file"


def test_24_a_file_swapped_since_it_was_listed_waits_for_the_next_run(zone, good):
    zone.land("a.csv", good)
    resources = zone.resources
    files = ingest.discover_files(resources, now=LATER)
    zone.land("a.csv", good[:5])
    assert ingest.ingest_files(resources, files, owner="x", now=LATER).files == ()
    assert zone.only().rows_appended == 5


def test_a_file_with_too_many_bad_rows_stops_and_somebody_is_told(zone, good, make_row):
    zone.land("a.csv", [*good[:7], *[make_row(f"b{i}", size="-1") for i in range(3)]])
    zone.land("b.csv", good)
    report = zone.ingest()
    states = [(outcome.state, outcome.rows_appended) for outcome in report.files]
    assert states == [("stopped", 0), ("appended", 20)]
    with pytest.raises(QuarantineOverflow, match=r"3 of 10 rows \(30.0%\) break the contract"):
        ingest.raise_problems(report)
    assert len(zone.bad) == 4, "each bad row, and the file"
    assert zone.ingest().files == (), "it is told once"


def test_a_report_without_problems_raises_nothing(zone, good):
    zone.land("a.csv", good)
    ingest.raise_problems(zone.ingest())


def test_hidden_and_partial_files_are_ignored(zone, good):
    zone.land(".a.csv", good)
    zone.land("a.csv.part", good)
    assert zone.ingest().files == ()


def test_parquet_columns_of_a_hopeless_type_are_refused_with_their_name(parquet_zone):
    parquet_zone.land("a.parquet", parquet_bytes(**a_row(size=[True])))
    outcome = parquet_zone.only()
    assert outcome.rule == "type"
    assert "Column 'size' holds Boolean; the contract says float." in outcome.reason


def test_parquet_that_names_a_column_twice_is_refused(parquet_zone):
    table = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["size", "size"])
    pq.write_table(table, parquet_zone.directory / "a.parquet")
    assert only_refusal(parquet_zone) == "duplicate_columns"
