"""A user's own estimator is searched, judged, registered, and travels with its model."""

import pytest

from include.evergreen.errors import BuilderRefused

BUILDER = '''
import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import ExtraTreesRegressor


class Floored(RegressorMixin, BaseEstimator):
    """A regressor that never predicts below zero."""

    def __init__(self, inner=None):
        self.inner = inner

    def fit(self, matrix, target):
        self.inner.fit(matrix, target)
        self.is_fitted_ = True
        return self

    def predict(self, matrix):
        return np.maximum(self.inner.predict(matrix), 0.0)


def search_space(trial):
    trial.suggest_int("n_estimators", 20, 60)


def build(params, task):
    chosen = params or {"n_estimators": 20}
    return Floored(ExtraTreesRegressor(min_samples_leaf=5, random_state=3, **chosen))
'''


@pytest.fixture
def with_builder(bike, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    bike.settings = type(bike.settings)(**{**vars(bike.settings), "models_dir": models})
    bike.change(training={"estimators": ["include.models.floored:build"]})

    def write(source: str):
        (models / "floored.py").write_text(source)
        return bike

    return write


def test_a_users_builder_wins_and_its_file_travels(with_builder, rides, tmp_path):
    bike = with_builder(BUILDER)
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    _, fitted, word, candidate = bike.train()
    assert word.verdict == "won", word.reason
    assert fitted.tuning.estimator == "include.models.floored:build"
    bundle = bike.resources.registry.download_bundle(
        "bike_demand", candidate.version, tmp_path / "fetched"
    )
    assert (bundle / "builder.py").read_text() == BUILDER


def test_a_builder_the_serving_image_lacks_is_refused_before_fitting(with_builder, rides):
    bike = with_builder(BUILDER.replace("import numpy as np", "import numpy as np\nimport torch"))
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    with pytest.raises(BuilderRefused, match="imports 'torch'"):
        bike.freeze(bike.claim())
    assert bike.resources.ledger.latest_training("bike_demand") is None


def test_another_builder_is_another_training(with_builder, rides):
    bike = with_builder(BUILDER)
    bike.ingest(rides("2011-01-01", "2011-04-01"))
    first = bike.freeze(bike.claim())
    with_builder(BUILDER.replace("never predicts", "does not predict"))
    assert bike.freeze(bike.claim()).key == first.key
    with_builder(BUILDER.replace(", 0.0)", ", 1.0)"))
    assert bike.freeze(bike.claim()).key != first.key
