"""One value, one reading: text and typed columns by the same rules, nothing guessed."""

import datetime as dt

import polars as pl
import pytest

from include.evergreen.errors import FileRefused
from include.evergreen.stages.ingest.read_values import MISSING_TEXTS, PHYSICAL, read_values

NONE = "none"  # a missing value; ERROR is one that cannot be read
ERROR = "error"


def read(raw: pl.Series, kind: str, zone: str = "UTC") -> list:
    values = read_values(raw, kind, zone)
    assert values.typed.dtype == PHYSICAL[kind]
    return [
        ERROR if unreadable else NONE if value is None else value
        for value, unreadable in zip(values.typed, values.unreadable, strict=True)
    ]


def read_text(text: str | None, kind: str, zone: str = "UTC"):
    # A second, plain value keeps one odd value from deciding how the whole column is read.
    return read(pl.Series("x", [text, None], dtype=pl.String), kind, zone)[0]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("float", "1.5", 1.5),
        ("float", " -2e3 ", -2000.0),
        ("float", "1,000", ERROR),
        ("float", "1_000", ERROR),
        ("float", "0x10", ERROR),
        ("float", "true", ERROR),
        ("float", "inf", float("inf")),
        ("float", "NaN", NONE),
        ("integer", "12", 12),
        ("integer", "+12", 12),
        ("integer", "12.0", 12),
        ("integer", "1e3", 1000),
        ("integer", "12.5", ERROR),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("integer", "9223372036854775808", ERROR),
        ("integer", "9007199254740993.0", ERROR),
        ("integer", "inf", ERROR),
        ("boolean", "TRUE", True),
        ("boolean", "0", False),
        ("boolean", "yes", ERROR),
        ("boolean", "1.0", ERROR),
        ("category", " red", " red"),
        ("category", "NA", "NA"),
        ("category", "", NONE),
        ("key", "007", "007"),
        ("integer_category", "3", 3),
        ("integer_category", "three", ERROR),
        ("timestamp", "2024-05-01", dt.datetime(2024, 5, 1)),
        ("timestamp", "2024-05-01 07:08", dt.datetime(2024, 5, 1, 7, 8)),
        ("timestamp", "2024-05-01T07:08:09.25Z", dt.datetime(2024, 5, 1, 7, 8, 9, 250_000)),
        ("timestamp", "2024-05-01T07:08:09+02:00", dt.datetime(2024, 5, 1, 5, 8, 9)),
        ("timestamp", "2024-05-01 07:08:09 -0330", dt.datetime(2024, 5, 1, 10, 38, 9)),
        ("timestamp", "01/02/2024", ERROR),
        ("timestamp", "2024-02-30", ERROR),
        ("timestamp", "2024-05-01T24:30:00", ERROR),
        ("timestamp", "1714521600", ERROR),
        ("timestamp", "2024-05-01T07:08:09+02:00; DROP", ERROR),
    ],
)
def test_text_is_read_as_its_contract_says(kind, text, value):
    read_value = read_text(text, kind)
    if isinstance(value, dt.datetime):
        value = value.replace(tzinfo=dt.UTC)
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("text", sorted(MISSING_TEXTS))
@pytest.mark.parametrize("kind", ["float", "integer", "boolean", "timestamp"])
def test_what_people_write_for_missing_is_missing(kind, text):
    assert read_text(text, kind) == NONE


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-07-01T12:00:00", dt.datetime(2024, 7, 1, 10)),
        ("2024-01-01T12:00:00", dt.datetime(2024, 1, 1, 11)),
        ("2024-10-27T02:30:00", dt.datetime(2024, 10, 27, 0, 30)),  # twice: the earlier
        ("2024-07-01T12:00:00Z", dt.datetime(2024, 7, 1, 12)),
        ("2024-03-31T02:30:00", ERROR),  # never
    ],
)
def test_a_time_without_a_zone_takes_that_of_the_contract(text, utc):
    expected = utc if utc == ERROR else utc.replace(tzinfo=dt.UTC)
    assert read_text(text, "timestamp", "Europe/Berlin") == expected


@pytest.mark.parametrize(
    ("raw", "kind", "values"),
    [
        (pl.Series([1, None], dtype=pl.UInt8), "float", [1.0, NONE]),
        (pl.Series([1.0, float("nan"), 1.5]), "integer", [1, NONE, ERROR]),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), "integer", [ERROR]),
        (pl.Series([0, 1, 2]), "boolean", [False, True, ERROR]),
        (pl.Series([0.0, 1.0, float("nan")]), "boolean", [False, True, NONE]),
        (pl.Series([7, None]), "category", ["7", NONE]),
        (pl.Series(["a", None], dtype=pl.Categorical), "category", ["a", NONE]),
        (pl.Series([None, None]), "float", [NONE, NONE]),
        (pl.Series([12345]), "key", ["12345"]),
        (pl.Series(["1.5"]), "float", [1.5]),
        (
            pl.Series([dt.date(2024, 5, 1), None]),
            "timestamp",
            [dt.datetime(2024, 5, 1, tzinfo=dt.UTC), NONE],
        ),
        (
            pl.Series([dt.datetime(2024, 5, 1)]).dt.replace_time_zone("Asia/Tokyo"),
            "timestamp",
            [dt.datetime(2024, 4, 30, 15, tzinfo=dt.UTC)],
        ),
    ],
)
def test_typed_columns_are_read_by_the_same_rules(raw, kind, values):
    assert read(raw.alias("x"), kind) == values


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (pl.Series([True]), "float"),
        (pl.Series([dt.date(2024, 5, 1)]), "float"),
        (pl.Series([1.5]), "category"),
        (pl.Series([1]), "timestamp"),
        (pl.Series([b"\x80"]), "category"),
    ],
)
def test_a_typed_column_that_can_never_fit_refuses_the_file(raw, kind):
    with pytest.raises(FileRefused, match=r"Column 'x' holds .*; the contract says") as refusal:
        read_values(raw.alias("x"), kind, "UTC")
    assert refusal.value.rule == "type"
