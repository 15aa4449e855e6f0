"""The fast way through a column and the slow way agree, value for value."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evergreen.model_code.features import LocalTimes
from include.evergreen.model_code.plan import zone_offsets
from include.evergreen.model_code.row_contract import FieldProblem, InvalidRows, RowContract

TIMES = LocalTimes(zone_offsets("UTC"))
COLUMNS = {
    "float": {"type": "float", "min": -1, "max": 10},
    "float?": {"type": "float", "nullable": True},
    "integer": {"type": "integer", "min": 0},
    "integer?": {"type": "integer", "nullable": True},
    "boolean": {"type": "boolean"},
    "boolean?": {"type": "boolean", "nullable": True},
    "category": {"type": "category", "values": ["a", "b"]},
    "category?": {"type": "category", "values": [1, 2], "nullable": True, "unseen": "refuse"},
    "as_missing": {"type": "category", "values": ["a"], "unseen": "as_missing"},
    "open": {"type": "category", "values": None},
    "timestamp": {"type": "timestamp"},
    "timestamp?": {"type": "timestamp", "nullable": True},
    "key": {"type": "key", "nullable": True},
}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 12),
    st.floats(),
    st.floats(-2, 11),
    st.text(max_size=3),
    st.sampled_from(["a", "b", "1", "2024-01-01", "2024-01-01T00:00:00Z", 1.0, 2.0, 0.0, 10**400]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=1), st.integers(), max_size=1),
)


def check(kind: str, values: list) -> object:
    rows = RowContract({"columns": {"x": COLUMNS[kind]}}, TIMES)
    try:
        return rows.parse({"x": values})["x"]
    except InvalidRows as error:
        (problem,) = error.problems
        return problem


@pytest.mark.parametrize("kind", COLUMNS)
@given(values=st.lists(VALUES, min_size=1, max_size=6))
def test_a_column_is_taken_exactly_if_each_of_its_values_alone_is(kind, values) -> None:
    together = check(kind, values)
    alone = [check(kind, [value]) for value in values]
    bad = [index for index, result in enumerate(alone) if isinstance(result, FieldProblem)]
    if not bad:
        assert not isinstance(together, FieldProblem), together
        for one, many in zip(alone, together, strict=True):
            same = one[0] == many or (one[0] != one[0] and many != many)  # noqa: PLR0124
            assert same, (one[0], many)
    else:
        assert isinstance(together, FieldProblem)
        assert (together.row, together.rows) == (bad[0], len(bad))


@pytest.mark.parametrize("kind", ["float", "float?", "integer", "integer?"])
@given(value=st.one_of(st.floats(), st.integers()))
def test_only_finite_numbers_within_bounds_are_taken(kind, value) -> None:
    column = COLUMNS[kind]
    low, high = column.get("min", -3.5e38), column.get("max", 3.4e38)
    fits = math.isfinite(value) if isinstance(value, float) else True
    fits = fits and low <= value <= high
    if column["type"] == "integer":
        fits = fits and value == math.floor(value)
    assert isinstance(check(kind, [value]), np.ndarray) == fits or abs(value) > 3.4e38


def test_an_int_category_is_canonical_whether_sent_as_1_or_as_1_point_0() -> None:
    assert [type(value) for value in check("category?", [1, 1.0, None])] == [int, int, type(None)]


def test_no_rows_and_unequal_lengths_are_named() -> None:
    rows = RowContract({"columns": {"a": {"type": "float"}, "b": {"type": "float"}}}, TIMES)
    with pytest.raises(InvalidRows, match="'\\(all\\)': seen lengths 1, 2"):
        rows.parse({"a": [1], "b": [1, 2]})
    with pytest.raises(InvalidRows, match="seen no rows, allowed at least one row"):
        rows.parse({"a": [], "b": []})


def test_optional_columns_are_kept_when_given_and_checked() -> None:
    document = {"columns": {"a": {"type": "float"}}, "optional": {"id": {"type": "key"}}}
    rows = RowContract(document, TIMES)
    assert set(rows.parse({"a": [1]})) == {"a"}
    assert rows.parse({"a": [1], "id": [7]})["id"] == ["7"]
    with pytest.raises(InvalidRows, match="'id': seen an array"):
        rows.parse({"a": [1], "id": [[]]})


def test_long_names_and_values_are_cut_in_messages() -> None:
    rows = RowContract({"columns": {"a": {"type": "float"}}}, TIMES)
    with pytest.raises(InvalidRows) as caught:
        rows.parse({"a": ["x" * 10_000], "y" * 10_000: [1]})
    assert len(str(caught.value)) < 600
