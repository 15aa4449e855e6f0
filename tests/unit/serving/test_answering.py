"""A prediction that is no number is no answer, whichever way it was computed."""

import types

import numpy as np
import pytest
from answering import Answering, NotFinite
from scoring import Scoring

CONTRACT = {"columns": {"x": {"type": "float"}}, "optional": {}}
BODIES = {
    "alone": b'{"inputs": {"x": 1.0}}',
    "among others": b'{"inputs": {"x": [1.0, 2.0]}}',
}


def answering(value: float, probability: float) -> Answering:
    prediction = {"prediction": value, "probability_a": probability}
    return Answering(
        types.SimpleNamespace(
            contract=CONTRACT,
            InvalidRows=ValueError,
            predict_one=lambda row: (row, prediction) if row["x"] == 1.0 else None,
            parse=lambda raw: raw,
            predict=lambda _: {name: np.array([0.5, v]) for name, v in prediction.items()},
        )
    )


@pytest.mark.parametrize("way", BODIES)
@pytest.mark.parametrize(
    ("value", "probability", "named"),
    [(np.nan, 0.5, "prediction"), (np.inf, 0.5, "prediction"), (1.0, np.nan, "probability_a")],
)
def test_what_is_not_finite_is_the_model_s_failure_and_named(
    way, value, probability, named
) -> None:
    dialect = Scoring(CONTRACT, 10)
    with pytest.raises(NotFinite, match=f"no finite {named} for 1 of .* model that fails"):
        answering(value, probability).answer(dialect, BODIES[way], "application/json", b"r")


@pytest.mark.parametrize("way", BODIES)
def test_what_is_finite_is_answered(way) -> None:
    dialect = Scoring(CONTRACT, 10)
    answered = answering(1.0, 0.5).answer(dialect, BODIES[way], "application/json", b"r")
    assert answered.entry.alone == (way == "alone")
    assert b'"prediction":1.0' in answered.content
