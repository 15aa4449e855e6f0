"""`make model` turns a file into a spec that loads, takes that file, and says what it guessed."""

import collections
import datetime as dt
import gzip
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from include.evergreen.cli import new_model
from include.evergreen.simulator import simulate_bike, simulate_electricity
from include.evergreen.spec import ModelSpec, load_spec
from include.evergreen.stages.infer import reading as infer_reading
from include.evergreen.stages.ingest.parse_files import parse_file
from include.evergreen.stages.ingest.row_contract import RowContract

N = 240


@pytest.fixture
def infer(tmp_path, capsys):
    """Writes a frame (or text) as a file, runs the command and gives the spec and what it said."""

    def run(content, target, *options, suffix=".csv"):
        data = tmp_path / f"some data{suffix}"
        if isinstance(content, pl.DataFrame):
            writers = {".csv": "write_csv", ".parquet": "write_parquet", ".jsonl": "write_ndjson"}
            if suffix.endswith(".gz"):
                data.write_bytes(gzip.compress(_bytes(content, suffix.removesuffix(".gz"))))
            else:
                getattr(content, writers[suffix])(data)
        elif isinstance(content, bytes):
            data.write_bytes(content)
        else:
            data.write_text(content)
        out = tmp_path / "specs" / "m.yaml"
        arguments = ["--name", "m", "--data", str(data), "--target", target, "--out", str(out)]
        status = new_model.main([*arguments, "--force", *options])
        printed = capsys.readouterr()
        if status:
            assert status == 2
            return None, printed.err
        spec = load_spec(out)
        (tmp_path / "work").mkdir(exist_ok=True)
        _assert_takes(spec, data, tmp_path / "work")
        return spec, printed.out

    return run


def _bytes(frame: pl.DataFrame, suffix: str) -> bytes:
    return (frame.write_ndjson() if suffix == ".jsonl" else frame.write_csv()).encode()


def _assert_takes(spec: ModelSpec, data: Path, work: Path) -> None:
    """What ingest itself makes of the file: no bad row, no column too empty."""
    copy = work / data.name
    shutil.copy(data, copy)
    contract, rows, nulls = RowContract(spec), 0, collections.Counter()
    parsed = parse_file(
        copy,
        uri=data.name,
        data_format=spec.data.format,
        wanted=[column.name for column in contract.columns],
        limits=spec.data.limits,
    )
    contract.check_header(data.name, parsed.columns)
    for batch in parsed.batches:
        assert batch.bad_lines == []
        split = contract.split(batch.frame)
        assert split.bad.rows() == []
        rows += split.good.height
        nulls.update(split.nulls)
    for name, column in spec.data.columns.items():
        assert nulls[name] <= column.max_null_share * rows, name
    assert spec.training.holdout.min_rows <= max(10, 0.25 * rows)
    assert spec.training.min_rows <= rows


def _rng():
    return np.random.default_rng(0)


@pytest.fixture
def table():
    """A clean regression table with one column of each kind."""
    rng = _rng()
    size = rng.normal(100, 20, N)
    return pl.DataFrame(
        {
            "size": size,
            "rooms": rng.integers(1, 9, N),
            "town": rng.choice(["Ulm", "Bonn", "Köln"], N),
            "new": rng.random(N) > 0.5,
            "price": 1000 * size + rng.normal(0, 9000, N),
        }
    )


@pytest.fixture
def bike(shared_data):
    if shared_data is None:
        return simulate_bike(dt.date(2011, 1, 1), 200, seed=7)
    return pl.read_csv(shared_data / "bike_sharing_hourly.csv.gz")


# real and toy data


def test_bike_demand_points_at_casual_plus_registered_and_leaves_them_out(infer, bike):
    spec, said = infer(bike, "cnt")
    assert (spec.task, spec.data.time, spec.data.key) == ("regression", "dteday", "instant")
    assert "casual + registered = cnt" in said
    assert {"casual", "registered", "instant", "dteday"}.isdisjoint(spec.data.columns)
    assert {"hr", "temp", "weathersit", "workingday"} <= set(spec.feature_columns)
    assert spec.features.calendar == ("weekday", "month")
    assert spec.data.landing == "landing/m"
    assert spec.training.holdout.days is not None


def test_electricity_is_binary_with_half_hours(infer, shared_data):
    frame = (
        simulate_electricity(dt.date(2011, 1, 1), 60, seed=7)
        if shared_data is None
        else pl.read_csv(shared_data / "electricity_half_hourly.csv.gz")
    )
    spec, _ = infer(frame, "price_up")
    assert (spec.task, spec.data.time, spec.data.key) == ("binary", "timestamp", "timestamp")
    assert spec.data.columns["price_up"].values == (0, 1)
    assert "hour" in spec.features.calendar


def test_census_keeps_the_question_mark_as_a_value(infer, shared_data):
    if shared_data is None:
        pytest.skip("the real census file is absent, and no simulator has its shape")
    spec, _ = infer(pl.read_csv(shared_data / "census_income.csv.gz"), "income")
    assert spec.task == "binary"
    assert spec.data.columns["income"].values == ("<=50K", ">50K")
    assert "?" in spec.data.columns["workclass"].values
    assert spec.data.time is None
    assert spec.data.key is None
    assert len(spec.feature_columns) == 14


@pytest.mark.parametrize(
    ("load", "task"),
    [
        (datasets.load_iris, "multiclass"),
        (datasets.load_wine, "multiclass"),
        (datasets.load_breast_cancer, "binary"),
        (datasets.load_diabetes, "regression"),
        (datasets.load_digits, "multiclass"),
    ],
)
@pytest.mark.parametrize("with_time", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".jsonl"])
def test_toy_sets_need_no_editing(infer, load, task, with_time, suffix):
    toy = load()
    frame = pl.DataFrame(
        {str(name): toy.data[:, i] for i, name in enumerate(toy.feature_names)}
    ).with_columns(pl.Series("target", toy.target))
    if with_time:
        days = [dt.date(2020, 1, 1) + dt.timedelta(days=i // 3) for i in range(frame.height)]
        frame = frame.with_columns(pl.Series("day", [day.isoformat() for day in days]))
    spec, said = infer(frame, "target", suffix=suffix)
    assert spec.task == task
    assert (spec.data.time == "day") is with_time
    assert spec.data.format == suffix.removesuffix(".gz").strip(".")
    assert "likely leakage" not in said
    constant = sum(frame[c].n_unique() == 1 for c in frame.columns)
    assert len(spec.feature_columns) == len(toy.feature_names) - constant


def test_classes_may_be_texts(infer):
    iris = datasets.load_iris()
    frame = pl.DataFrame({f"x{i}": iris.data[:, i] for i in range(4)}).with_columns(
        pl.Series("species", [str(iris.target_names[t]) for t in iris.target])
    )
    spec, said = infer(frame, "species")
    assert spec.data.columns["species"].values == ("setosa", "versicolor", "virginica")
    assert spec.training.metric == "macro_f1"
    assert "is one of 3: setosa, versicolor, virginica" in said


# targets


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (lambda r: r.integers(0, 500, N), "regression", "integer"),
        (lambda r: r.integers(0, 2, N), "binary", "category"),
        (lambda r: r.integers(3, 9, N), "multiclass", "category"),
        (lambda r: r.integers(0, 30, N) * 1000, "regression", "integer"),
        (lambda r: r.random(N) > 0.5, "binary", "boolean"),
        (lambda r: r.choice(["yes", "no"], N), "binary", "category"),
        (lambda r: r.integers(0, 2, N).astype(float), "binary", "category"),
        (lambda r: r.normal(size=N), "regression", "float"),
        (lambda r: r.choice(["TRUE", "FALSE"], N), "binary", "boolean"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_task_follows_from_the_target(infer, values, task, kind, suffix):
    rng = _rng()
    frame = pl.DataFrame({"x": rng.normal(size=N), "y": values(rng)})
    spec, _ = infer(frame, "y", suffix=suffix)
    assert (spec.task, spec.data.columns["y"].type) == (task, kind)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("word", "too many for classes"),
        ("always", "cannot be the target: it holds one value only"),
        ("empty", "cannot be the target: it is empty"),
        ("day", "cannot be the target"),
        ("prise", "is no column of the file. Did you mean 'price'?"),
    ],
)
def test_a_column_that_cannot_be_a_target_is_refused(infer, table, target, expected):
    frame = table.with_columns(
        pl.Series("word", [f"w{n}" for n in range(N)]),
        pl.lit("a").alias("always"),
        pl.lit(None, dtype=pl.String).alias("empty"),
        pl.Series("day", [f"2020-01-{n % 28 + 1:02}" for n in range(N)]),
    )
    spec, said = infer(frame, target)
    assert spec is None
    assert expected in said


def test_missing_targets_are_allowed_as_far_as_the_file_has_them(infer, table):
    frame = table.with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise("price").alias("price")
    )
    spec, _ = infer(frame, "price")
    assert 0.1 < spec.data.columns["price"].max_null_share < 0.25


# columns


def test_every_kind_of_column_gets_its_contract(infer, table):
    spec, _ = infer(table, "price")
    columns = spec.data.columns
    assert {name: column.type for name, column in columns.items()} == {
        "size": "float", "rooms": "integer", "town": "category", "new": "boolean",
        "price": "float",
    }  # fmt: skip
    assert columns["town"].values == ("Bonn", "Köln", "Ulm")
    assert columns["town"].unseen == "as_missing"
    assert columns["rooms"].min == 0


def test_odd_column_names_survive(infer, table):
    odd = {
        "size": "living area (m²)",
        "rooms": "no. of: rooms, all",
        "town": "Größe #1 'q' \"d\"",
        "new": "yes",
        "price": "price.in.€",
    }
    spec, _ = infer(table.rename(odd), "price.in.€")
    assert set(spec.data.columns) == set(odd.values())


@pytest.mark.parametrize("name", ["null", "1e5", "007", "~", "- a", "{{ x }}", "a: b", "*a", "é"])
def test_names_and_values_that_yaml_would_misread_survive(infer, table, name):
    frame = table.rename({"size": name}).with_columns(
        pl.Series("town", _rng().choice([name, "yes", "01", "1.0"], N))
    )
    spec, _ = infer(frame, "price")
    assert name in spec.data.columns
    assert set(spec.data.columns["town"].values) == {name, "yes", "01", "1.0"}


def test_what_is_no_feature_is_left_out_with_its_reason(infer, table):
    rng = _rng()
    frame = table.with_columns(
        pl.Series("user_id", rng.permutation(10**6)[:N]),
        pl.Series("row", np.arange(N)),
        pl.Series("note", [f"text {n}" for n in range(N)]),
        pl.lit("EUR").alias("currency"),
        pl.lit(None, dtype=pl.String).alias("nothing"),
        pl.Series("born", [f"19{n % 80 + 10}-01-01" for n in range(N)]),
        pl.Series("moved", [f"20{n % 20 + 10}-05-01" for n in range(N)]),
        pl.Series("account", [str(10**30 + n) for n in range(N)]),
        pl.Series("", ["a", "b"] * (N // 2)),
        pl.Series("_batch", rng.normal(size=N)),
    )
    spec, said = infer(frame, "price")
    assert set(spec.data.columns) == set(table.columns)
    for reason in (
        "user_id: it is an id",
        "row: it only numbers the rows",
        "note: it has 240 different texts",
        "currency: it holds one value only",
        "nothing: it is empty",
        "born: a time is no feature by itself",
        "it has no name",
        "_batch: the lake uses its name itself",
    ):
        assert reason in said
    assert "No time column: which of 'born', 'moved' is it? Say TIME=..." in said


def test_numbers_with_marks_for_missing_ones_stay_numbers(infer, table):
    rng = _rng()
    frame = table.with_columns(
        pl.when(pl.Series(rng.random(N) < 0.1))
        .then(pl.lit("?"))
        .otherwise(pl.col("size").round(2).cast(pl.String))
        .alias("size")
    )
    spec, said = infer(frame, "price")
    assert spec.data.columns["size"].type == "float"
    assert "'size' holds numbers; '?' is taken as missing" in said
    assert spec.data.columns["size"].max_null_share > 0.1


def test_blanks_after_the_commas_do_not_matter_to_numbers(infer):
    rng = _rng()
    lines = [
        f"{x}, {n}, {t}"
        for x, n, t in zip(
            rng.normal(size=N), rng.integers(0, 99, N), rng.choice(["ja", "nein"], N), strict=True
        )
    ]
    spec, _ = infer("x, n, y\n" + "\n".join(lines), "y")
    assert spec.data.columns["n"].type == "integer"
    assert spec.data.columns["y"].values == (" ja", " nein")


def test_leading_zeros_make_a_category_not_a_number(infer, table):
    codes = pl.Series("zip", _rng().choice(["01067", "10115", "80331"], N))
    spec, _ = infer(table.with_columns(codes), "price")
    assert spec.data.columns["zip"].values == ("01067", "10115", "80331")


def test_a_file_of_few_values_is_not_refused_for_its_duplicates(infer):
    rng = _rng()
    frame = pl.DataFrame({"a": rng.integers(0, 3, N), "b": rng.integers(0, 2, N)})
    spec, _ = infer(frame, "b")
    assert spec.data.limits.max_duplicate_share == 1.0


# leakage


def _leaky(table: pl.DataFrame, **columns) -> pl.DataFrame:
    return table.with_columns(**columns)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"copy": pl.col("price") * 1.19}, "copy: likely leakage: it rises or falls exactly"),
        ({"rank": pl.col("price").rank()}, "rank: likely leakage: it rises or falls exactly"),
        (
            {"net": pl.col("price") - pl.col("size") ** 2, "tax": pl.col("size") ** 2},
            "net + tax = price",
        ),
        (
            {"per_m": pl.col("price") / (pl.col("size") ** 2), "area": pl.col("size") ** 2},
            "per_m x area = price",
        ),
        (
            {"a": pl.col("price") * 0.5 + pl.col("rooms") ** 2 * 500, "b": pl.col("rooms") ** 2},
            "gives price",
        ),
    ],
)
def test_columns_that_determine_a_number_are_pointed_out_and_left_out(infer, table, columns, said):
    spec, printed = infer(_leaky(table, **columns), "price")
    assert said in printed
    assert set(columns).isdisjoint(spec.data.columns)
    assert "size" in spec.data.columns


def test_columns_that_determine_a_class_are_pointed_out_and_left_out(infer, table):
    frame = table.with_columns((pl.col("price") > 100_000).alias("dear")).with_columns(
        pl.when("dear").then(pl.lit("luxury")).otherwise(pl.lit("plain")).alias("tariff")
    )
    spec, printed = infer(frame, "dear")
    assert "price: likely leakage: a threshold on it alone tells 'dear'" in printed
    assert "tariff: likely leakage: each of its values goes with one value of 'dear'" in printed
    assert {"price", "tariff"}.isdisjoint(spec.data.columns)


def test_good_features_are_no_leakage(infer, table):
    frame = table.with_columns(
        pl.Series("noisy", table["price"].to_numpy() + np.random.default_rng(5).normal(0, 500, N))
    )
    spec, said = infer(frame, "price")
    assert "noisy" in spec.data.columns
    assert "likely leakage" not in said


def test_an_exact_law_of_all_features_is_kept_and_said(infer):
    rng = _rng()
    x, z = rng.normal(size=N), rng.normal(size=N)
    spec, said = infer(pl.DataFrame({"x": x, "z": z, "y": 2 * x + 3 * z}), "y")
    assert set(spec.feature_columns) == {"x", "z"}
    assert "together determines 'y'; all are kept" in said


# time and key


@pytest.mark.parametrize(
    "written",
    ["2020-01-02", "2020-01-02T03:04:05", "2020-01-02 03:04", "2020-01-02T03:04:05.123Z",
     "2020-01-02T03:04:05+02:00"],
)  # fmt: skip
def test_times_are_recognised_as_iso_8601_writes_them(infer, table, written):
    days = pl.Series("when", [written.replace("-02", f"-{n % 28 + 1:02}", 1) for n in range(N)])
    spec, said = infer(table.with_columns(days), "price")
    assert spec.data.time == "when"
    assert "Time: 'when', the only column of times" in said


def test_the_time_and_key_that_were_named_are_taken(infer, table):
    frame = table.with_columns(
        pl.Series("born", [f"19{n % 80 + 10}-01-01" for n in range(N)]),
        pl.Series("seen", [f"2020-01-{n % 28 + 1:02}" for n in range(N)]),
        pl.Series("number", np.arange(N)),
    )
    spec, _ = infer(frame, "price", "--time", "seen", "--key", "number")
    assert (spec.data.time, spec.data.key) == ("seen", "number")


def test_a_birthday_is_not_taken_for_the_time(infer, table):
    born = pl.Series("born", [f"19{(n * 37) % 80 + 10}-01-01" for n in range(N)])
    spec, said = infer(table.with_columns(born), "price")
    assert spec.data.time is None
    assert "which of 'born' is it?" in said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["31.12.2020"] * N, "it holds '31.12.2020'"),
        ([None] + ["2020-01-01"] * (N - 1), "0.4% of it is empty"),
        (["9999-01-01"] * N, "it leaves the years 1900 to 2199"),
    ],
)
def test_a_time_column_that_is_none_is_refused(infer, table, values, expected):
    spec, said = infer(table.with_columns(pl.Series("when", values)), "price", "--time", "when")
    assert spec is None
    assert expected in said
    assert "ISO 8601" in said


def test_the_holdout_of_a_time_is_about_a_fifth_of_the_rows(infer, table):
    days = [dt.date(2020, 1, 1) + dt.timedelta(days=n // 4) for n in range(N)]
    spec, _ = infer(table.with_columns(pl.Series("day", days)), "price", suffix=".parquet")
    assert 10 <= spec.training.holdout.days <= 13
    assert spec.training.holdout.min_rows == 22


# files


@pytest.mark.parametrize(
    ("content", "suffix", "expected"),
    [
        ("a;b\n" + "1;2\n" * 60, ".csv", "is separated by semicolons"),
        ("a,a\n" + "1,2\n" * 60, ".csv", "columns of the same name: 'a'"),
        ("a,b\n", ".csv", "holds no rows"),
        ("", ".csv", "cannot be read as csv"),
        ("a,b\n1,2\n", ".csv", "The file has 1 rows; a model needs 50 or more"),
        (b"\x1f\x8b\x08broken", ".csv.gz", "broken gzip"),
        (b"PAR1 broken", ".parquet", "cannot be read as parquet"),
        (b"a,b\n\xff\xfe,1\n" * 60, ".csv", "UTF-8"),
        ('{"a": 1, "b": [1]}\n' * 5 + "{broken\n", ".jsonl", "cannot be read as jsonl"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_with_the_reason(infer, content, suffix, expected):
    spec, said = infer(content, "b", suffix=suffix)
    assert spec is None
    assert expected in said


def test_a_missing_file_and_a_bad_name_are_refused(tmp_path, capsys):
    base = ["--target", "y", "--out", str(tmp_path / "x.yaml")]
    assert new_model.main(["--name", "m", "--data", str(tmp_path / "no.csv"), *base]) == 2
    assert "is no file" in capsys.readouterr().err
    data = tmp_path / "d.csv"
    data.write_text("x,y\n" + "1,2\n" * 60)
    assert new_model.main(["--name", "My Model!", "--data", str(data), *base]) == 2
    assert "'my_model' say" in capsys.readouterr().err


def test_of_a_large_file_only_the_first_rows_are_looked_at(infer, table, monkeypatch):
    monkeypatch.setattr(infer_reading, "MAX_ROWS", 100)
    spec, said = infer(table, "price")
    assert spec.task == "regression"
    assert "Looked at the first 100 rows only." in said


def test_nested_columns_are_left_out(infer, table):
    frame = table.with_columns(pl.Series("tags", [["a", "b"]] * N))
    spec, said = infer(frame, "price", suffix=".parquet")
    assert "tags" not in spec.data.columns
    assert "tags: it holds List(String)" in said


def test_an_existing_spec_is_only_replaced_with_force(tmp_path, table, capsys):
    data, out = tmp_path / "d.csv", tmp_path / "m.yaml"
    table.write_csv(data)
    out.write_text("mine")
    arguments = ["--name", "m", "--data", str(data), "--target", "price", "--out", str(out)]
    assert new_model.main(arguments) == 2
    assert "exists. Choose another NAME, or --force" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert new_model.main([*arguments, "--force"]) == 0
    assert load_spec(out).model == "m"
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_name_that_another_file_has_is_refused(tmp_path, table, capsys):
    data = tmp_path / "d.csv"
    table.write_csv(data)
    arguments = ["--name", "m", "--data", str(data), "--target", "price", "--out"]
    assert new_model.main([*arguments, str(tmp_path / "other_file.yaml")]) == 0
    assert new_model.main([*arguments, str(tmp_path / "m.yaml")]) == 2
    assert "already has the model name 'm'" in capsys.readouterr().err


def test_a_comment_cannot_break_out_of_its_line(infer, table):
    name = "x\u2028model: evil"
    frame = table.with_columns(pl.Series(name, [f"t{n}" for n in range(N)]))
    spec, said = infer(frame, "price")
    assert spec.model == "m"
    assert "x?model: evil: it has 240 different texts" in said


def test_what_is_said_stands_in_the_file_too(infer, table, tmp_path):
    infer(table, "price")
    text = (tmp_path / "specs" / "m.yaml").read_text()
    assert "# Inferred from some data.csv: 240 rows, 5 columns." in text
    assert "#   Task: regression" in text
