"""The matrix is what the plan says, on any machine, for one row as for many."""

import datetime as dt
import json
import subprocess
import sys
import time
import zoneinfo
from pathlib import Path

import numpy as np
import pytest

from include.evergreen.model_code import features
from include.evergreen.model_code.features import Features, LocalTimes, feature_names, transform
from include.evergreen.model_code.plan import MAX_ONE_HOT, make_plan, zone_offsets


def contract(time_zone: str = "UTC", **columns) -> dict:
    return {"time": "at", "time_zone": time_zone, "columns": columns, "optional": {}}


NUMBER = {"type": "float", "values": None}
COLOURS = {"type": "category", "values": ["red", "green", "blue"]}
AT = {"type": "timestamp", "values": None}


def instants(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[us]")


def test_numbers_pass_booleans_are_0_and_1_categories_are_codes_and_missing_is_nan() -> None:
    plan = make_plan({}, contract(a=NUMBER, b={"type": "boolean"}, c=COLOURS), "ordinal")
    columns = {"a": [1.5, None, -2.0], "b": [True, False, None], "c": ["blue", "mauve", None]}
    matrix = transform(columns, plan)
    assert matrix.dtype == np.float32
    nan = np.nan
    np.testing.assert_array_equal(matrix, [[1.5, 1, 2], [nan, 0, nan], [-2, nan, nan]])
    assert features.categorical_indices(plan) == [2]


def test_a_linear_model_gets_one_column_a_category_and_none_of_them_for_an_unseen_one() -> None:
    plan = make_plan({}, contract(c=COLOURS), "linear")
    assert feature_names(plan) == ["c=red", "c=green", "c=blue"]
    matrix = transform({"c": ["green", "mauve", None]}, plan)
    np.testing.assert_array_equal(matrix, [[0, 1, 0], [0, 0, 0], [0, 0, 0]])
    assert features.categorical_indices(plan) == []


def test_categories_that_the_contract_does_not_list_are_learned_from_the_rows() -> None:
    open_category = contract(c={"type": "category", "values": None})
    plan = make_plan({}, open_category, "ordinal", {"c": ["b", None, "a", "b"]})
    assert plan["steps"][0]["categories"] == ["a", "b"]
    with pytest.raises(ValueError, match="'c' lists no values: make_plan needs the training rows"):
        make_plan({}, open_category, "ordinal")


def test_of_very_many_categories_a_linear_model_gets_the_most_frequent() -> None:
    values = [f"v{i:03d}" for i in range(200)]
    rows = values + ["v150"] * 5
    column = contract(c={"type": "category", "values": values})
    plan = make_plan({}, column, "linear", {"c": rows})
    assert len(feature_names(plan)) == MAX_ONE_HOT
    assert "c=v150" in feature_names(plan)


def test_more_categories_than_trees_can_take_are_ordinal_numbers() -> None:
    values = list(range(300))
    plan = make_plan({}, contract(c={"type": "category", "values": values}), "ordinal")
    assert features.categorical_indices(plan) == []
    assert transform({"c": [299]}, plan)[0, 0] == 299


def test_calendar_parts_equal_those_of_the_standard_library() -> None:
    parts = [
        "hour", "weekday", "month", "day_of_month", "day_of_year", "week", "year", "holiday",
        "days_since_start",
    ]  # fmt: skip
    zone = "Europe/Berlin"
    rng = np.random.default_rng(7)
    seconds = rng.integers(-2_000_000_000, 4_000_000_000, 500)
    utc = seconds.astype("datetime64[s]").astype("datetime64[us]")
    holidays = ["2024-12-25", "1999-01-01"]
    document = {"calendar": parts, "holidays": holidays}
    plan = make_plan(document, contract(zone, at=AT), "ordinal", {"at": instants("2000-01-02")})
    matrix = transform({"at": utc}, plan)
    for row, second in zip(matrix, seconds, strict=True):
        epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        local = (epoch + dt.timedelta(seconds=int(second))).astimezone(zoneinfo.ZoneInfo(zone))
        wall = local.replace(tzinfo=None)
        expected = [
            local.hour + local.minute / 60 + local.second / 3600,
            local.weekday(),
            local.month,
            local.day,
            local.timetuple().tm_yday,
            local.isocalendar().week,
            local.year,
            local.date().isoformat() in holidays,
            (wall - dt.datetime(2000, 1, 2)).total_seconds() / 86_400,
        ]
        np.testing.assert_allclose(row, expected, rtol=1e-6, err_msg=str(local))


def test_a_holiday_is_a_local_day() -> None:
    document = {"calendar": ["holiday"], "holidays": ["2024-12-25"]}
    plan = make_plan(document, contract("Europe/Berlin", at=AT), "ordinal")
    times = instants("2024-12-24T22:59", "2024-12-24T23:00", "2024-12-25T22:59", "2024-12-25T23:00")
    np.testing.assert_array_equal(transform({"at": times}, plan)[:, 0], [0, 1, 1, 0])


def test_a_linear_model_gets_periodic_parts_as_a_circle_and_others_as_they_are() -> None:
    document = {"calendar": ["hour", "year"], "cyclical": True}
    plan = make_plan(document, contract(at=AT), "linear")
    assert feature_names(plan) == ["at.hour_sin", "at.hour_cos", "at.year"]
    matrix = transform({"at": instants("2024-01-01T06:00", "NaT")}, plan)
    np.testing.assert_allclose(matrix[0], [1, 0, 2024], atol=1e-7)
    assert np.isnan(matrix[1]).all()
    flat = make_plan({**document, "cyclical": False}, contract(at=AT), "linear")
    assert feature_names(flat) == ["at.hour", "at.year"]


def test_ratios_over_zero_or_nothing_are_missing() -> None:
    document = {"ratios": {"r": {"numerator": "a", "denominator": "b"}}}
    plan = make_plan(document, contract(a=NUMBER, b=NUMBER), "ordinal")
    matrix = transform({"a": [1.0, 1.0, None, 6.0], "b": [0.0, None, 2.0, 4.0]}, plan)
    np.testing.assert_array_equal(matrix[:, 2], [np.nan, np.nan, np.nan, 1.5])


def test_bins_have_their_lower_edge_in_and_missing_stays_missing() -> None:
    document = {"bins": {"level": {"column": "a", "edges": [0.0, 10.0]}}}
    column = {"a": [-1.0, 0.0, 9.9, 10.0, None]}
    plan = make_plan(document, contract(a=NUMBER), "ordinal")
    np.testing.assert_array_equal(transform(column, plan)[:, 1], [0, 1, 1, 2, np.nan])
    linear = make_plan(document, contract(a=NUMBER), "linear")
    assert feature_names(linear)[1:] == ["level=0", "level=1", "level=2"]
    np.testing.assert_array_equal(transform(column, linear)[4, 1:], [0, 0, 0])


def test_what_float32_cannot_hold_is_its_largest_number_never_infinity() -> None:
    document = {"ratios": {"r": {"numerator": "a", "denominator": "b"}}}
    plan = make_plan(document, contract(a=NUMBER, b=NUMBER), "ordinal")
    matrix = transform({"a": [1e300, -1e300], "b": [1e-300, 1e-300]}, plan)
    assert np.isfinite(matrix).all()


def test_one_row_gives_what_it_gives_among_many(rides) -> None:
    from include.evergreen.model_code.predictor import Predictor, columns_of_rows

    predictor = Predictor.load(rides.directory, rides.digest)
    together = predictor.matrix(predictor.parse(columns_of_rows(rides.rows)))
    for index, row in enumerate(rides.rows[:20]):
        alone = predictor.matrix(predictor.parse(columns_of_rows([row])))
        np.testing.assert_array_equal(alone[0], together[index])


def test_one_row_costs_far_less_than_a_prediction(rides) -> None:
    ready = Features(rides.plan)
    row = {
        "temperature": np.array([1.0]), "humidity": np.array([50.0]), "weather": ["mist"],
        "season": [1], "holiday": np.array([0.0]), "at": instants("2024-01-01T06:00"),
    }  # fmt: skip
    ready.transform(row)
    began = time.perf_counter()
    for _ in range(200):
        ready.transform(row)
    assert (time.perf_counter() - began) / 200 < 0.001


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_local_times_are_read_as_the_standard_library_does(zone) -> None:
    times = LocalTimes(zone_offsets(zone))
    start = dt.datetime(2023, 1, 1)
    for step in range(365 * 48):
        wall = start + dt.timedelta(minutes=30 * step)
        expected = wall.replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()
        assert times.micros(wall.isoformat()) == int(expected * 1_000_000), wall


def test_a_time_with_a_zone_of_its_own_is_taken_at_its_word() -> None:
    times = LocalTimes(zone_offsets("Europe/Berlin"))
    assert times.micros("1970-01-01T02:00:00+02:00") == 0
    assert times.micros("1970-01-01T00:00:00Z") == 0
    assert times.micros("1970-01-01") == -3_600_000_000
    assert times.micros("tomorrow") is None


def test_a_plan_of_another_format_is_refused(rides) -> None:
    with pytest.raises(ValueError, match="reads plans of format 1, not 2"):
        Features({**rides.plan, "format": 2})


def test_a_plan_is_json_and_works_after_a_round_trip(rides) -> None:
    again = json.loads(json.dumps(rides.plan))
    assert Features(again).names == feature_names(rides.plan)


IMPORTS = """
import importlib.util, sys
sys.path.append(sys.argv[1])
for path in sys.argv[2:]:
    spec = importlib.util.spec_from_file_location("travels", path)
    sys.modules["travels"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["travels"])
known = {*sys.stdlib_module_names, "numpy", "travels", "__main__"}
print(sorted({name.partition(".")[0] for name in sys.modules} - known))
"""


def test_the_code_that_travels_imports_the_standard_library_and_numpy_only(project_root) -> None:
    folder = project_root / "include" / "evergreen" / "model_code"
    files = [str(folder / f"{name}.py") for name in ("features", "row_contract", "predictor")]
    packages = str(Path(np.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORTS, packages, *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
