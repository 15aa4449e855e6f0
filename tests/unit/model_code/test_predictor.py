"""A bundle predicts as its estimator does, and is refused when anything in it was changed."""

import shutil
from pathlib import Path

import numpy as np

from include.evergreen.model_code.predictor import Predictor, columns_of_rows
from tests.unit.model_code.test_bundle_trust import forge


def test_a_bundle_predicts_exactly_as_the_estimator_it_was_made_of(rides) -> None:
    predictor = Predictor.load(rides.directory, rides.digest)
    columns = predictor.parse(columns_of_rows(rides.rows))
    offline = rides.estimator.predict(predictor.matrix(columns))
    assert np.array_equal(predictor.predict(columns)["prediction"], offline)
    assert predictor.golden_difference() == 0.0


def test_a_graph_predicts_what_the_estimator_does_one_row_or_many(rides_graph) -> None:
    predictor = Predictor.load(rides_graph.directory, rides_graph.digest)
    columns = predictor.parse(columns_of_rows(rides_graph.rows))
    offline = rides_graph.estimator.predict(predictor.matrix(columns))
    together = predictor.predict(columns)["prediction"]
    assert np.allclose(together, offline, rtol=1e-5, atol=0)
    for row, prediction in zip(rides_graph.rows, together, strict=True):
        alone = predictor.predict(predictor.parse(columns_of_rows([row])))["prediction"]
        assert alone.tolist() == [prediction]


def test_a_bundle_of_before_rows_had_a_way_of_their_own_is_loaded_all_the_same(
    rides_graph, tmp_path
) -> None:
    copy = Path(shutil.copytree(rides_graph.directory, tmp_path / "copy"))
    (copy / "one_row.py").unlink()
    predictor = Predictor.load(copy, forge(copy))
    assert predictor.predict_one(rides_graph.rows[0]) is None
    assert predictor.golden_difference() == 0.0


def test_a_classifier_answers_with_labels_of_their_own_type_and_probabilities(weather) -> None:
    predictor = Predictor.load(weather.directory, weather.digest)
    answer = predictor.predict(predictor.parse(columns_of_rows(weather.rows)))
    assert set(answer["prediction"]) <= {"clear", "mist", "rain"}
    shares = [answer[f"probability_{label}"] for label in predictor.classes]
    assert np.allclose(np.sum(shares, axis=0), 1.0)


def test_one_row_alone_may_be_rounded_otherwise_and_may_not_be_answered_otherwise(
    rides, monkeypatch
) -> None:
    predictor = Predictor.load(rides.directory, rides.digest)
    as_it_is = predictor.predict_one

    def off_by(share: float) -> float:
        def alone(row):
            typed, answer = as_it_is(row)
            return typed, {**answer, "prediction": answer["prediction"] * (1 + share)}

        monkeypatch.setattr(predictor, "predict_one", alone)
        return predictor.golden_difference()

    assert off_by(1e-7) == 0.0
    assert off_by(1e-3) == np.inf
