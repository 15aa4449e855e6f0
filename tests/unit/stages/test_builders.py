"""A builder that the serving image could not answer with is refused before anything is fitted."""

import pytest

from include.evergreen.errors import BuilderRefused
from include.evergreen.stages.training import builders
from include.evergreen.stages.training.builders import load_builder

GOOD = """
from sklearn.ensemble import ExtraTreesRegressor

ENCODING = "linear"


def search_space(trial):
    trial.suggest_int("n_estimators", 5, 50)
    trial.suggest_categorical("criterion", ["squared_error"])


def build(params, task):
    return ExtraTreesRegressor(**params, random_state=3)
"""


class Asked:
    def __init__(self):
        self.names = []

    def choice(self, name, values):
        self.names.append(name)
        return values[0]

    def integer(self, name, low, high, *, log=False):
        self.names.append(name)
        return low


@pytest.fixture
def write(tmp_path):
    def written(source: str, name: str = "rides"):
        (tmp_path / f"{name}.py").write_text(source)
        return f"include.models.{name}:build", tmp_path

    return written


def test_a_good_builder_is_asked_for_its_space_and_builds(write):
    name, directory = write(GOOD)
    builder = load_builder(name, directory)
    trial = Asked()
    params = builder.suggest(trial)
    assert params == {"n_estimators": 5, "criterion": "squared_error"}
    assert trial.names == [f"{name}.n_estimators", f"{name}.criterion"]
    assert builder.encoding == "linear"
    assert builder.build(params, "regression").n_estimators == 5


def test_a_builder_without_a_space_is_built_as_it_is(write):
    name, directory = write(
        "from sklearn.linear_model import Ridge\ndef build(params, task):\n    return Ridge()\n"
    )
    builder = load_builder(name, directory)
    assert builder.suggest(Asked()) == {}
    assert builder.encoding == "ordinal"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import xgboost\n", "line 1: imports 'xgboost'"),
        ("import polars.exceptions\n", "imports 'polars.exceptions'"),
        ("def build(p, t):\n    import torch\n", "line 2: imports 'torch'"),
        ("from include.evergreen import errors\n", "imports 'include.evergreen'"),
        ("from . import other\n", "imports '.'"),
        ("x = __import__('torch')\n", "calls __import__"),
        ("import importlib\nx = importlib.import_module('torch')\n", "calls import_module"),
        ("exec('import torch')\n", "calls exec"),
        ("f = __builtins__['__import__']\nf('pandas')\n", "imports 'pandas' while it is imported"),
    ],
)
def test_what_the_serving_image_lacks_is_refused_by_line(write, source, what):
    name, directory = write(source)
    with pytest.raises(BuilderRefused) as raised:
        load_builder(name, directory)
    assert what in str(raised.value)
    assert "the serving image lacks it" in str(raised.value)
    assert "scikit_learn" not in str(raised.value)


def test_an_estimator_with_a_foreign_part_is_refused(write):
    name, directory = write(
        "import sys\nfrom sklearn.ensemble import BaggingRegressor\n"
        "def build(params, task):\n"
        "    return BaggingRegressor(estimator=sys.modules['pandas'].Series([1]))\n"
    )
    builder = load_builder(name, directory)
    with pytest.raises(BuilderRefused, match=r"builds pandas\..*Series"):
        builder.build({}, "regression")


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("def build(:\n", "is no Python"),
        ("x = 1\n", "has no function 'build'"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError"),
        ("ENCODING = 'hash'\ndef build(p, t): ...\n", "ENCODING is 'hash'"),
    ],
)
def test_a_builder_that_is_none_is_refused_with_the_reason(write, source, what):
    name, directory = write(source)
    with pytest.raises(BuilderRefused, match=what.replace("(", r"\(")):
        _ = load_builder(name, directory).encoding


def test_a_builder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BuilderRefused, match="cannot be read: No such file"):
        load_builder("include.models.gone:build", tmp_path)


def test_the_lock_says_what_may_be_imported(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    lock.write_text("numpy==2.1 \\\n    --hash=sha256:00\nscikit-learn==1.9.1\nx-y==1\n")
    monkeypatch.setattr(builders, "SERVING_LOCK", lock)
    builders.servable_modules.cache_clear()
    try:
        assert {"numpy", "sklearn", "x_y", "json"} <= builders.servable_modules()
        assert "scipy" not in builders.servable_modules()
    finally:
        builders.servable_modules.cache_clear()
