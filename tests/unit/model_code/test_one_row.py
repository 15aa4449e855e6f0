"""A row alone is read and prepared as among others, bit for bit, or not at all."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.evergreen.model_code import features, one_row, row_contract
from include.evergreen.model_code.features import PERIODS, Features, LocalTimes
from include.evergreen.model_code.one_row import OneRow
from include.evergreen.model_code.plan import make_plan
from include.evergreen.model_code.row_contract import InvalidRows, RowContract

COLUMNS = {
    "number": {"type": "float", "min": -1e3, "max": 1e3, "nullable": True},
    "wide": {"type": "float", "nullable": True},
    "whole": {"type": "integer", "min": 0, "max": 9},
    "flag": {"type": "boolean", "nullable": True},
    "colour": {"type": "category", "values": ["red", "green"], "nullable": True},
    "grade": {"type": "category", "values": [1, 2, 3], "unseen": "as_missing"},
    "open": {"type": "category", "values": None, "nullable": True},
    "at": {"type": "timestamp", "nullable": True},
}
OPTIONAL = {"key": {"type": "key", "nullable": True}}
PARTS = [
    "hour", "weekday", "month", "day_of_month", "day_of_year", "week", "year", "holiday",
    "days_since_start",
]  # fmt: skip
FEATURES = {
    "calendar": PARTS,
    "holidays": ["2024-12-25", "1999-12-31"],
    "ratios": {
        "steep": {"numerator": "wide", "denominator": "number"},
        "parts": {"numerator": "whole", "denominator": "wide"},
    },
    "bins": {"coarse": {"column": "number", "edges": [-10, 0, 0.5, 10]}},
}
TIMES = st.one_of(
    st.datetimes().map(lambda time: time.isoformat()),
    st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat()),
    st.sampled_from(
        ["2024-10-27T02:30:00", "2024-03-31T02:30", "2024-12-25", "now", "", "1900-01-01"]
    ),
)
NUMBERS = st.one_of(
    st.none(), st.integers(-5, 12), st.floats(), st.floats(-1e3, 1e3), st.booleans(),
    st.sampled_from([0.0, -0.0, 1e-320, 3.4e38, -3.4e38, 3.5e38, 10**400, "1", 0.5, 10]),
)  # fmt: skip
TEXTS = st.one_of(st.none(), st.sampled_from(["red", "green", "blue", 1, 2.0, True, 7, math.inf]))
RIGHT = {
    "number": st.one_of(st.none(), st.floats(-1e3, 1e3), st.integers(-1000, 1000)),
    "wide": st.one_of(st.none(), st.floats(-3.4e38, 3.4e38), st.just(1e-320)),
    "whole": st.integers(0, 9),
    "flag": st.sampled_from([None, True, False, 0, 1.0]),
    "colour": st.sampled_from([None, "red", "green"]),
    "grade": st.sampled_from([None, 1, 2, 3, 7, "unheard"]),
    "open": st.one_of(st.none(), st.sampled_from(["a", "b", "c"])),
    "at": st.one_of(st.none(), TIMES),
}
ANY = {
    **dict.fromkeys(["number", "wide", "whole", "flag"], NUMBERS),
    **dict.fromkeys(["colour", "grade", "open"], TEXTS),
    "at": st.one_of(st.none(), TIMES, st.integers()),
}


def made(encoding: str, zone: str) -> tuple[RowContract, Features, OneRow]:
    contract = {"time": "at", "time_zone": zone, "columns": COLUMNS, "optional": OPTIONAL}
    plan = make_plan(FEATURES, contract, encoding, {"open": ["a", "b"]})
    times = LocalTimes(plan["time"])
    one = OneRow(contract, plan, times, PERIODS)
    return RowContract(contract, times), Features(plan), one


MADE = {
    (encoding, zone): made(encoding, zone)
    for encoding in ("ordinal", "linear")
    for zone in ("UTC", "Europe/Berlin", "Australia/Lord_Howe")
}


def among_others(rows: RowContract, raw: dict) -> dict | None:
    try:
        return rows.parse({name: [value] for name, value in raw.items()})
    except InvalidRows:
        return None


@pytest.mark.parametrize("how", MADE, ids=str)
@given(row=st.fixed_dictionaries(RIGHT, optional={"key": st.text(max_size=5)}))
@settings(max_examples=150)
def test_a_row_gets_the_same_numbers_alone_as_among_others(how, row) -> None:
    rows, features, one = MADE[how]
    typed, together = one.typed(row), among_others(rows, row)
    if together is None:  # a time that is none
        assert typed is None
        return
    assert typed is not None
    assert one.matrix(typed).tobytes() == features.transform(together).tobytes()


@given(
    row=st.fixed_dictionaries(
        ANY, optional={"key": st.one_of(st.none(), st.text(), st.integers()), "more": st.none()}
    )
)
@settings(max_examples=400)
def test_what_the_contract_refuses_is_never_taken_alone(row) -> None:
    rows, features, one = MADE["ordinal", "Europe/Berlin"]
    typed, together = one.typed(row), among_others(rows, row)
    if typed is not None:
        assert together is not None
        assert one.matrix(typed).tobytes() == features.transform(together).tobytes()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_row_that_lacks_a_column_is_given_back(name) -> None:
    _, _, one = MADE["ordinal", "UTC"]
    row = {**dict.fromkeys(COLUMNS), "whole": 1}
    assert one.typed(row) is not None
    del row[name]
    assert one.typed(row) is None


def test_a_row_with_a_column_that_the_contract_does_not_have_is_given_back() -> None:
    _, _, one = MADE["ordinal", "UTC"]
    row = {**dict.fromkeys(COLUMNS), "whole": 1, "key": "k"}
    assert one.typed(row) == row
    assert one.typed({**row, "more": None}) is None


def test_both_ways_know_the_same_limits() -> None:
    """The files travel without each other, so each has its own."""
    assert one_row.LONGEST_TEXT == row_contract.LONGEST_TEXT
    assert one_row.LARGEST == row_contract.LARGEST == features.LARGEST
    assert one_row._PARTS.keys() == {*PARTS}
    assert one_row._STEPS.keys() == features._STEPS.keys()


def test_every_way_of_being_missing_and_every_part_of_a_time_is_a_number_of_the_row() -> None:
    _, features, one = MADE["ordinal", "UTC"]
    row = {**dict.fromkeys(COLUMNS), "whole": 3, "at": "2024-12-25T06:30:00"}
    numbers = dict(zip(features.names, one.matrix(one.typed(row))[0].tolist(), strict=True))
    assert {name for name, value in numbers.items() if value != value} == {  # noqa: PLR0124
        "number", "wide", "flag", "colour", "grade", "open", "steep", "parts", "coarse",
    }  # fmt: skip
    assert [numbers[f"at.{part}"] for part in PARTS] == [
        6.5, 2, 12, 25, 360, 52, 2024, 1, pytest.approx(20_082.2708, abs=1e-3),
    ]  # fmt: skip


def test_the_largest_number_a_ratio_can_be_is_that_of_float32() -> None:
    _, _, one = MADE["ordinal", "UTC"]
    row = {**dict.fromkeys(COLUMNS), "whole": 3, "number": 1e-3, "wide": 3e38}
    numbers = one.matrix(one.typed(row))
    assert np.isfinite(numbers[0][~np.isnan(numbers[0])]).all()
    assert np.nanmax(numbers) == np.finfo(np.float32).max
