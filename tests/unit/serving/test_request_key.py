"""Under which key a request is logged: its row's own, else that of its header."""

import time

import numpy as np
import polars as pl
import pytest
from request_key import LONGEST_KEY, key_column, keyed, plain_key
from segments import Entry

from include.evergreen.stages.bundle import contract_of

ROW = {"temperature": 1.5}


def alone(**columns) -> Entry:
    return Entry(b"r", 1, {**ROW, **columns}, {"prediction": 2.0}, 1, alone=True)


def together(n_rows=1, **columns) -> Entry:
    given = {"temperature": np.full(n_rows, 1.5), **columns}
    return Entry(b"r", 1, given, {"prediction": np.full(n_rows, 2.0)}, n_rows)


@pytest.mark.parametrize(
    ("entry", "logged"),
    [
        (alone(), "h"),
        (alone(ride=None), "h"),
        (alone(ride="own"), "own"),
        (together(), ["h"]),
        (together(ride=[None]), ["h"]),
        (together(ride=["own"]), ["own"]),
        (together(2), None),
        (together(2, ride=[None, "own"]), [None, "own"]),
    ],
)
def test_the_key_of_the_row_counts_and_the_header_only_where_one_row_has_none(entry, logged):
    before = dict(entry.columns)
    made = keyed(entry, "ride", b"h")
    assert made.columns.get("ride") == logged
    assert (made.request_id, made.predictions) == (entry.request_id, entry.predictions)
    assert dict(entry.columns) == before, "what is counted of the columns is not touched"


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"customer-4711", "customer-4711"),
        (b"2026-11-30 16:20", "2026-11-30 16:20"),
        ("grün".encode(), "grün"),
        (b"k" * LONGEST_KEY, "k" * LONGEST_KEY),
        (b"k" * (LONGEST_KEY + 1), None),
        (b"", None),
        (b"  ", None),
        (b"a\tb", None),
        (b"a\x00b", None),
        ("a\u202eb".encode(), None),
        (b"\xff\xfe", None),
    ],
)
def test_a_header_that_is_no_plain_text_is_no_key(header, key):
    assert plain_key(header) == key
    assert keyed(alone(), "ride", header).columns.get("ride") == key


def test_only_a_key_that_is_no_other_column_is_filled(rides):
    contract = contract_of(rides.spec)
    assert key_column(contract) == "ride"
    assert key_column({**contract, "key": None}) is None
    assert key_column({**contract, "key": contract["time"]}) is None, "a time is no text"
    assert key_column({**contract, "key": "temperature"}) is None, "a feature is what was sent"
    assert keyed(alone(), None, b"h") == alone()


def test_a_service_logs_a_request_under_its_header_and_answers_whatever_it_is(service):
    row = {name: value for name, value in service.made.rows[1].items() if name != "ride"}
    sent = {"by-header": (row, b"hour-17"), "by-row": ({**row, "ride": "own"}, b"hour-17"),
            "by-none": (row, b"x" * 300)}  # fmt: skip
    for name, (asked, key) in sent.items():
        headers = {"X-Request-Id": name, "X-Request-Key": key.decode()}
        assert service.post({"dataframe_records": [asked]}, **headers).status_code == 200
    deadline = time.monotonic() + 60
    logged: dict[str, str | None] = {}
    while not set(sent) <= set(logged):
        assert time.monotonic() < deadline, logged
        time.sleep(0.1)
        files = sorted(service.spool.glob("*.parquet"))
        if files:
            frame = pl.read_parquet(files)
            logged = dict(zip(frame["request_id"], frame["ride"], strict=True))
    assert [logged[name] for name in sent] == ["hour-17", "own", None]
