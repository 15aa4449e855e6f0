"""Any table within the contract comes back exactly; any bytes are accounted for, or refused."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.evergreen.stages.ingest import parse_csv, parse_jsonl, parse_parquet
from tests.fuzz.guarantee import FORMATS, LARGEST_FLOAT32, MAX_ROWS, MAX_TEXT, NAMES, take
from tests.fuzz.seeds import HEADER, ROW, not_utf8, odd_columns, parquet_of, seeds

QUIETLY = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
EVERY_FORMAT = pytest.mark.parametrize("data_format", FORMATS)
WHOLE = st.integers(-(2**63), 2**63 - 1)


def texts(least: int = 1) -> st.SearchStrategy[str]:
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(letters, min_size=least, max_size=MAX_TEXT)


def times() -> st.SearchStrategy[dt.datetime]:
    return st.datetimes(
        dt.datetime(1900, 1, 1), dt.datetime(2199, 12, 31), timezones=st.just(dt.UTC)
    )


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "when": times(),
            "k": texts(),
            "size": st.none() | st.floats(0, 100),
            "count": WHOLE,
            "color": st.sampled_from(["red", "blue"]),
            "shape": st.none() | texts(),
            "step": st.none() | WHOLE,
            "flag": st.booleans(),
            "seen": st.none() | times(),
            "y": st.floats(-LARGEST_FLOAT32, LARGEST_FLOAT32),
        }
    ),
    min_size=1,
    max_size=20,
)


def written(rows: list[dict[str, Any]], data_format: str) -> bytes:
    if data_format == "parquet":
        out, typed = io.BytesIO(), pa.Table.from_pylist([ROW]).schema
        pq.write_table(
            pa.Table.from_pylist(
                rows,
                schema=pa.schema(
                    pa.field(f.name, pa.timestamp("us", "UTC"))
                    if pa.types.is_timestamp(f.type)
                    else f
                    for f in typed
                ),
            ),
            out,
        )
        return out.getvalue()
    if data_format == "jsonl":
        return "".join(
            json.dumps(row, default=dt.datetime.isoformat) + "\n" for row in rows
        ).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, NAMES, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        plain = {n: v.isoformat() if isinstance(v, dt.datetime) else v for n, v in row.items()}
        writer.writerow(plain)
    return text.getvalue().encode()


@EVERY_FORMAT
@QUIETLY
@given(rows=ROWS)
def test_what_is_written_is_what_is_read(data_format: str, rows: list[dict[str, Any]]) -> None:
    taken = take(written(rows, data_format), data_format)
    assert (taken.refused, taken.bad) == ("", [])
    numbered = [row | {"_row_number": number} for number, row in enumerate(rows, start=1)]
    assert taken.good == numbered


@EVERY_FORMAT
@QUIETLY
@given(rows=ROWS, blocks=st.integers(1, 9))
def test_and_so_it_is_in_many_blocks(data_format: str, rows: list[dict[str, Any]], blocks) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse_csv, "BLOCK_BYTES", blocks * 2000)
        patch.setattr(parse_csv, "_RECORD_BYTES", blocks * 100)
        patch.setattr(parse_jsonl, "BATCH_LINES", blocks)
        patch.setattr(parse_parquet, "BATCH_ROWS", blocks)
        test_what_is_written_is_what_is_read.hypothesis.inner_test(data_format, rows)


@st.composite
def bytes_near(draw: st.DrawFn, data_format: str) -> bytes:
    """Bytes of any kind, most of them near those of a file: cut, spliced, overwritten."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.binary(max_size=300))
    kept = list(seeds(data_format).values())
    content = bytearray(draw(st.sampled_from(kept)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        upto = min(len(content), at + draw(st.integers(0, 30)))
        piece = st.binary(max_size=12) | st.sampled_from(_PIECES)
        content[at:upto] = draw(piece)
    if draw(st.integers(0, 4)) == 0:
        content += draw(st.sampled_from(kept))
    return bytes(content)


_PIECES = [b",", b'"', b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"{", b"["]
_PIECES += [b"}\n", b'"k":', b"1e999", b"NaN", b"-", b"9" * 400, b"\\ud800", b"PAR1", b'""', b" "]


@EVERY_FORMAT
@QUIETLY
@given(data=st.data())
def test_any_bytes_are_rows_that_are_accounted_for_or_refused(data_format: str, data) -> None:
    take(data.draw(bytes_near(data_format)), data_format)


@EVERY_FORMAT
def test_every_seed_of_the_fuzzers_keeps_the_promise(data_format: str) -> None:
    refused = {take(content, data_format).refused for content in seeds(data_format).values()}
    assert "" in refused, "some of them are good"


def bad_rules(content: bytes, data_format: str = "parquet") -> list[tuple[str, str]]:
    return [(row["column"], row["rule"]) for row in take(content, data_format).bad]


# What was found by fuzzing, each once a crash or a row that should not have passed.


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("far", [2**63 - 1, -(2**63) + 1])
def test_a_time_beyond_the_calendar_is_a_bad_row(unit: str, far: int) -> None:
    """Polars panicked on it, and took the year 294247 for a year that keeps every rule."""
    (found,) = bad_rules(parquet_of(when=pa.array([far], pa.timestamp(unit))))
    assert found in {("when", "type"), ("when", "year")}


def test_a_date_beyond_the_calendar_is_a_bad_row_and_its_number_is_kept() -> None:
    taken = take(parquet_of(when=pa.array([2**31 - 1], pa.date32())), "parquet")
    assert [(row["rule"], row["value"]) for row in taken.bad] == [("type", str(2**31 - 1))]


@pytest.mark.parametrize("column", list(odd_columns()), ids=lambda column: str(column.type))
def test_an_extra_column_of_any_type_is_no_reason_to_lose_a_row(column: pa.Array) -> None:
    odd = parquet_of(extra=column, size=pa.array([-1.0]))
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        assert take(odd, "parquet").refused == "parse"
    else:
        assert bad_rules(odd) == [("size", "min")]


def test_a_zone_that_is_none_is_read_as_the_instant_it_holds() -> None:
    taken = take(parquet_of(when=pa.array([0], pa.timestamp("us", "Foo/Bar"))), "parquet")
    assert taken.good[0]["when"] == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def test_a_text_column_that_holds_no_text_refuses_the_file() -> None:
    assert take(parquet_of(k=not_utf8()), "parquet").refused == "parse"


def test_a_name_that_is_no_text_refuses_the_file() -> None:
    assert take(HEADER.encode() + b",\xad\n", "csv").refused == "encoding"
    renamed = parquet_of(zzzz=pa.array([1])).replace(b"zzzz", b"\x98zzz")
    assert take(renamed, "parquet").refused == "parse"


def test_a_short_row_that_is_no_text_refuses_the_file() -> None:
    """The reader would have dropped it without a word."""
    assert take(f"{HEADER}\n".encode() + b"short,\xff\n", "csv").refused == "encoding"


def test_a_json_name_that_is_half_a_character_is_written_as_its_escape() -> None:
    assert take(b'{"\\ud800": 1}\n', "jsonl").refused == "missing_column"


def test_a_column_named_like_one_of_ours_is_like_any_extra_one() -> None:
    odd = parquet_of(_line=pa.array(["x"]), _row_number=pa.array([9]), size=pa.array([-1.0]))
    (row,) = take(odd, "parquet").bad
    assert '"_line":"x"' in row["row"]
    assert row["row_number"] == 1


@pytest.mark.parametrize("offset", ["+99:99", "-15:00", "+14:60"])
def test_an_offset_that_no_zone_has_is_no_time(offset: str) -> None:
    row = ROW | {"when": f"2024-01-01T00:00:00{offset}"}
    assert bad_rules(json.dumps(row, default=str).encode(), "jsonl") == [("when", "type")]


def test_more_rows_than_allowed_are_never_handed_over() -> None:
    row = json.dumps(ROW, default=str).encode() + b"\n"
    assert take(row * MAX_ROWS, "jsonl").refused == ""
    assert take(row * (MAX_ROWS + 1), "jsonl").refused == "too_many_rows"
