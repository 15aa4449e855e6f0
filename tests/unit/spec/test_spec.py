"""What a loaded spec answers: feature columns, digests, places, and how a directory is read."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from include.evergreen import settings
from include.evergreen.spec import ModelSpec, load_spec, load_specs


@pytest.fixture
def spec(valid, write):
    return load_spec(write(valid))


def test_features_leave_out_target_key_time_and_timestamps(valid, write):
    text = valid.replace(
        "    count:", "    at: {type: timestamp}\n    seen: {type: timestamp}\n    count:"
    )
    assert list(load_spec(write(text)).feature_columns) == ["temperature", "humidity", "weather"]


def test_a_spec_is_frozen(spec):
    with pytest.raises(ValidationError, match="frozen"):
        spec.model = "other"


@pytest.mark.parametrize(
    ("seen", "written", "changes_training", "changes_contract"),
    [
        ("model: rides", "model: rides\ndescription: new", False, False),
        ("model: rides", "model: rides\nowner: somebody", False, False),
        ("model: rides", "model: rides # a remark", False, False),
        ("metric: rmse", "metric: mae", True, False),
        ("trials: 5", "trials: 6", True, False),
        ("max: 50", "max: 51", True, True),
        ("max: 50", "max: 50.0", False, False),
        ("time: at", "time: at\n  time_zone: Europe/Berlin", True, True),
        ("time: at", "time: at\n  limits: {max_rows: 5}", True, True),
        ("time: at", "time: at\n  limits: {settle_s: 5}", False, False),
        ("time: at", "time: at\n  poll_s: 5", False, False),
        ("time: at", "time: at\n  schedule: '@daily'", False, False),
        ("key: ride", "key: journey", True, True),
        ("landing: landing/rides", "landing: elsewhere", True, False),
    ],
)
def test_a_digest_changes_with_what_it_covers_and_nothing_else(
    valid, write, spec, seen, written, changes_training, changes_contract
):
    other = load_spec(write(valid.replace(seen, written)))
    assert (other.training_digest() != spec.training_digest()) is changes_training
    assert (other.contract_digest() != spec.contract_digest()) is changes_contract


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("monitoring: {min_rows: 500}", False),
        ("deployment: {memory_mib: 512}", False),
        ("retrain: {min_new_rows: 9}", False),
        ("gates: {min_improvement: 0.05}", True),
        ("features: {calendar: [hour]}", True),
    ],
)
def test_the_training_digest_ignores_monitoring_deployment_and_retrain(
    valid, write, spec, section, changes
):
    other = load_spec(write(f"{valid}{section}\n"))
    assert (other.training_digest() != spec.training_digest()) is changes


def test_digests_are_the_same_in_another_process(valid, write, spec, project_root):
    path = write(valid)
    code = (
        "import sys; from pathlib import Path; from include.evergreen.spec import load_spec;"
        "s = load_spec(Path(sys.argv[1])); print(s.training_digest(), s.contract_digest())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=project_root, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert printed.split() == [spec.training_digest(), spec.contract_digest()]


def test_places_are_absolute_directories_or_prefixes_with_one_slash(valid, write, tmp_path):
    other_root = tmp_path / "other"
    installation = settings.load(
        {"EVERGREEN_HOME": str(tmp_path / "home"), "EVERGREEN_DATA_ROOTS": str(other_root)}
    )

    def place(landing: str) -> str:
        return load_spec(write(valid.replace("landing/rides", landing))).landing_uri(installation)

    assert place("landing/rides") == str(tmp_path / "home/landing/rides")
    assert place(f"{other_root}/in") == str(other_root / "in")
    assert place(f"file://{other_root}/in") == str(other_root / "in")
    assert place(str(other_root)) == str(other_root)
    assert place("s3://rides/incoming") == "s3://rides/incoming/"
    assert place("s3://rides") == "s3://rides/"


def test_labels_have_a_place_only_where_the_spec_names_one(valid, write, spec, installation):
    assert spec.labels_uri(installation) is None
    text = valid.replace(
        "  key: ride\n", "  key: ride\n  labels: {landing: s3://b-b/l, key: ride}\n"
    )
    assert load_spec(write(text)).labels_uri(installation) == "s3://b-b/l/"


def test_a_refused_spec_stops_only_its_own_model(valid, write, tmp_path):
    write(valid)
    write("model: [broken", "broken.yaml")
    (tmp_path / ".hidden.yaml").write_text("model: [broken")
    (tmp_path / "builder.py").write_text("raise SystemExit")
    (tmp_path / "folder.yaml").mkdir()
    loaded = load_specs(tmp_path)
    assert list(loaded.specs) == ["rides"]
    assert [refusal.path.rpartition("/")[2] for refusal in loaded.refusals] == [
        "broken.yaml",
        "folder.yaml",
    ]


def test_only_reads_just_the_file_of_its_name(valid, write, tmp_path, monkeypatch):
    write(valid)
    write("model: [broken", "broken.yaml")
    assert load_specs(tmp_path, only="rides").refusals == ()
    assert list(load_specs(tmp_path, only="rides").specs) == ["rides"]


def test_only_finds_a_model_in_a_file_of_another_name(valid, write, tmp_path):
    write(valid, "anything.yaml")
    write(valid.replace("model: rides", "model: walks"), "rides.yaml")
    assert list(load_specs(tmp_path, only="rides").specs) == ["rides"]
    assert list(load_specs(tmp_path, only="walks").specs) == ["walks"]


@pytest.mark.parametrize("only", ["nobody", "../rides", "a/b", ""])
def test_only_an_unknown_model_finds_nothing(valid, write, tmp_path, only):
    write(valid)
    assert load_specs(tmp_path, only=only).specs == {}


def test_a_directory_that_is_not_there_holds_no_specs(tmp_path):
    assert load_specs(tmp_path / "missing").specs == {}


def test_a_spec_made_in_python_keeps_the_same_rules(spec):
    document = spec.model_dump()
    document["data"]["target"] = "nothing"
    with pytest.raises(ValidationError, match=r"'nothing' is not in data\.columns"):
        ModelSpec.model_validate(document)


def test_the_shipped_specs_load(project_root):
    loaded = load_specs(project_root / "include" / "models")
    assert loaded.refusals == ()
    assert {"bike_demand", "electricity"} <= set(loaded.specs)


def test_loading_a_spec_imports_nothing_heavy(project_root):
    code = (
        "import sys; from pathlib import Path; from include.evergreen.spec import load_specs;"
        "assert load_specs(Path('include/models')).specs;"
        "heavy = {'airflow', 'sklearn', 'pandas', 'polars', 'numpy', 'mlflow', 'optuna',"
        " 'evidently', 'deltalake', 'boto3', 'sqlalchemy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=project_root, check=True, capture_output=True, text=True
    ).stdout
    assert printed.strip() == "[]"
