"""Bad files 5, 6 and 20 in a process of its own: memory stays bounded, whatever a file claims."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import HEADER
from .test_bad_files import a_row, claiming, parquet_bytes

#: What a file of any size may take on top of a small one.
ROOM_MIB = 500


def ingested_apart(zone, small: str | bytes, good: str | bytes, root) -> dict:
    """Ingest what landed, and a good file with it, in a process of its own."""
    suffix = "parquet" if isinstance(small, bytes) else "csv"
    zone.land(f"zz_good.{suffix}", good)
    (zone.home / "small").write_bytes(small if isinstance(small, bytes) else small.encode())
    _ = zone.resources  # writes the spec
    ran = subprocess.run(
        [sys.executable, "-m", "tests.unit.stages.ingest.measured", str(zone.home)],
        cwd=root, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert seen["files"].pop(f"zz_good.{suffix}")[0] == "appended"
    assert seen["rose_mib"] < ROOM_MIB, seen
    return seen["files"]


@pytest.fixture
def csv_files(make_row):
    return f"{HEADER}\n{make_row('s')}\n", f"{HEADER}\n{make_row('g')}\n"


@pytest.fixture
def parquet_files(zone):
    zone.contract(format="parquet", time=None)
    return parquet_bytes(**a_row(k=["s"])), parquet_bytes(**a_row(k=["g"]))


def test_05_a_gzip_bomb_of_4_gb_stops_at_the_byte_limit(zone, csv_files, project_root):
    zone.contract(limits={"max_bytes": 50_000_000})
    member = gzip.compress(b"0" * 100_000_000, compresslevel=9)
    zone.land("bomb.csv.gz", member * 40)
    (state, rule, reason), *_ = ingested_apart(zone, *csv_files, project_root).values()
    assert (state, rule) == ("quarantined", "too_large")
    assert "50,000,000 bytes after decompression" in reason


def test_06_parquet_that_claims_2_to_the_40_rows(zone, parquet_files, project_root):
    zone.land("a.parquet", claiming(2**40))
    (state, rule, reason), *_ = ingested_apart(zone, *parquet_files, project_root).values()
    assert (state, rule) == ("quarantined", "too_many_rows")
    assert "has more than 100,000,000 rows" in reason


def test_06_parquet_of_22_kb_that_unpacks_to_700_mb_in_one_row(zone, parquet_files, project_root):
    table = pa.table(a_row() | {"blob": ["x" * 700_000_000]})
    pq.write_table(
        table, zone.directory / "a.parquet", compression="zstd", use_dictionary=False,
        write_statistics=False,
    )  # fmt: skip
    (state, rule, reason), *_ = ingested_apart(zone, *parquet_files, project_root).values()
    assert (state, rule) == ("quarantined", "too_long")
    assert "16,777,216 are allowed" in reason


def test_06_parquet_of_60_kb_whose_dictionary_unpacks_to_5_gb(zone, parquet_files, project_root):
    rows = 5_000
    others = {name: values * rows for name, values in a_row().items()}
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 1_000_000])
    table = pa.table(others | {"k": [f"k{i}" for i in range(rows)], "blob": texts})
    pq.write_table(
        table, zone.directory / "a.parquet", compression="zstd", write_statistics=False,
        dictionary_pagesize_limit=2_000_000, store_schema=False,
    )  # fmt: skip
    assert (zone.directory / "a.parquet").stat().st_size < 60_000
    (state, rule, reason), *_ = ingested_apart(zone, *parquet_files, project_root).values()
    assert (state, rule) == ("quarantined", "too_large")
    assert "4,294,967,296 bytes after decompression" in reason


def test_20_a_million_categories(zone, csv_files, project_root, make_row):
    zone.contract(columns={"color": {"values": None}})
    rest = ",".join(make_row("x").split(",")[-2:])
    lines = (f"k{i},2024-05-01,1.5,3,c{i},{rest}" for i in range(1_000_000))
    zone.land("a.csv", "\n".join([HEADER, *lines]) + "\n")
    (state, rule, _), *_ = ingested_apart(zone, *csv_files, project_root).values()
    assert (state, rule) == ("quarantined", "too_many_categories")


def test_a_header_of_a_million_names_is_refused_before_it_is_read(zone, csv_files, project_root):
    zone.land("wide.csv", ",".join(f"c{i}" for i in range(1_000_000)) + "\n")
    (state, rule, reason), *_ = ingested_apart(zone, *csv_files, project_root).values()
    assert (state, rule) == ("quarantined", "too_many_columns")
    assert "more than 1,000 columns, the most data.limits.max_columns allows" in reason


def test_bad_rows_of_a_wide_file_are_recorded_slice_by_slice(zone, csv_files, project_root):
    """Each record names every column: a megabyte of commas was a gigabyte of records."""
    names = [f"{'x' * 200}{i}" for i in range(990)]
    row = "," * (990 + HEADER.count(",")) + "\n"
    zone.land("wide.csv", HEADER + "," + ",".join(names) + "\n" + row * 4_000)
    (state, rule, _), *_ = ingested_apart(zone, *csv_files, project_root).values()
    assert (state, rule) == ("quarantined", "all_null")
