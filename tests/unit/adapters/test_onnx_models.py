"""What an exported graph answers is what scikit-learn answers, whatever the columns hold."""

import numpy as np
import onnx
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from include.evergreen.adapters.onnx_models import NotConvertible, closed, to_onnx
from include.evergreen.adapters.onnx_models.closed import why_not_closed
from include.evergreen.adapters.onnx_models.trees import floor32
from include.evergreen.model_code.predictor import (
    MANY_ROWS,
    OnnxEstimator,
    allowed_threads,
    predictions,
)
from include.evergreen.policy.parity import MOST, Parity, why_not_the_same
from include.evergreen.stages.training import serving_format as formats
from include.evergreen.stages.training.serving_format import compare

N_FEATURES, N_ROWS = 7, 1_500
#: Columns 3 and 4 are categories of so many codes.
CODES = {3: 6, 4: 40}
NEVER_FITTED = 17


def matrix(seed: int, *, missing: bool = True) -> np.ndarray:
    """Numbers of several sizes, two categories, and in a tenth of all cells nothing."""
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(N_ROWS, N_FEATURES)) * [1, 1e3, 1e-3, 1, 1, 1, 1]
    made[:, 5] = 2011 + rng.integers(0, 3, N_ROWS)
    for column, size in CODES.items():
        made[:, column] = rng.integers(0, size, N_ROWS)
    if missing:
        made[rng.random(made.shape) < 0.1] = np.nan
    return made.astype(np.float32)


def fitted_on(seed: int = 0, *, missing: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Rows without one of the codes, and a target that depends on all kinds of columns."""
    rows = matrix(seed, missing=missing)
    rows[rows[:, 4] == NEVER_FITTED, 4] = NEVER_FITTED + 1
    known = np.nan_to_num(rows)
    noise = np.random.default_rng(seed).normal(size=N_ROWS)
    return rows, 3 * known[:, 0] + 2 * known[:, 3] + known[:, 4] % 5 + 4 * np.isnan(
        rows[:, 6]
    ) + noise


def scaled(estimator):
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(imputer, StandardScaler(), estimator)


HIST = {"max_iter": 40, "random_state": 3}
CATEGORIES = {"categorical_features": list(CODES), **HIST}
REGRESSIONS = {
    "boosting": HistGradientBoostingRegressor(**HIST),
    "boosting, categories": HistGradientBoostingRegressor(**CATEGORIES),
    "boosting, poisson": HistGradientBoostingRegressor(loss="poisson", **CATEGORIES),
    "boosting, quantile": HistGradientBoostingRegressor(loss="quantile", quantile=0.8, **HIST),
    "boosting, one leaf": HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=N_ROWS),
    "forest": RandomForestRegressor(20, max_depth=9, random_state=3),
    "ridge": scaled(Ridge()),
}
CLASSIFICATIONS = {
    "boosting": HistGradientBoostingClassifier(**CATEGORIES),
    "forest": RandomForestClassifier(20, max_depth=9, random_state=3),
    "logistic": scaled(LogisticRegression(max_iter=300)),
}


def exported(estimator) -> OnnxEstimator:
    return OnnxEstimator(to_onnx(estimator, n_features=N_FEATURES, codes=CODES))


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_regression_predicts_the_same(name):
    rows, target = fitted_on()
    estimator = REGRESSIONS[name].fit(rows, np.exp(target / 10) if "poisson" in name else target)
    parity = compare(
        predictions(estimator, matrix(1), None), predictions(exported(estimator), matrix(1), None)
    )
    assert why_not_the_same(parity) == ""
    assert parity.rows == N_ROWS


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_a_classification_gives_the_same_shares(name, n_classes):
    rows, target = fitted_on()
    classes = np.digitize(target, np.quantile(target, [0.5] if n_classes == 2 else [0.3, 0.6]))
    estimator = CLASSIFICATIONS[name].fit(rows, classes)
    if (name, n_classes) == ("forest", 3):
        with pytest.raises(NotConvertible, match="more than two classes"):
            exported(estimator)
        return
    labels = list(range(n_classes))
    ours = predictions(estimator, matrix(1), labels)
    parity = compare(ours, predictions(exported(estimator), matrix(1), labels))
    assert why_not_the_same(parity) == ""
    assert len(set(ours["prediction"].tolist())) == n_classes


@pytest.mark.parametrize("name", ["boosting, categories", "forest", "ridge"])
@pytest.mark.parametrize("n_rows", [MANY_ROWS - 1, MANY_ROWS, MANY_ROWS + 1, N_ROWS])
def test_many_rows_are_shared_by_threads_and_come_out_the_same(name, n_rows, monkeypatch):
    rows, target = fitted_on()
    estimator = REGRESSIONS[name].fit(rows, target)
    expected = exported(estimator).predict(matrix(1)[:n_rows])
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    sharing = exported(estimator)
    runs = []
    one_run = sharing._run
    sharing._run = lambda names, given: runs.append(len(given["matrix"])) or one_run(names, given)
    assert sharing.predict(matrix(1)[:n_rows]).tolist() == expected.tolist()
    assert sum(runs) == n_rows
    assert len(runs) == (1 if n_rows < MANY_ROWS else 3)


def test_probabilities_of_many_rows_are_shared_by_threads_too(monkeypatch):
    rows, target = fitted_on()
    estimator = CLASSIFICATIONS["boosting"].fit(rows, np.digitize(target, [0, 5]))
    expected = exported(estimator).predict_proba(matrix(1))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert exported(estimator).predict_proba(matrix(1)).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("said", "threads"), [("", 1), ("3", 3), ("4,2", 4), ("0", 1), ("many", 1), ("64", 8)]
)
def test_threads_are_as_many_as_the_service_is_told(said, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert allowed_threads() == threads


def test_any_other_estimator_is_converted_by_skl2onnx():
    rows, target = fitted_on(missing=False)
    estimator = GradientBoostingRegressor(n_estimators=20).fit(rows, target)
    seen = exported(estimator).predict(matrix(1, missing=False))
    assert seen == pytest.approx(estimator.predict(matrix(1, missing=False)), rel=1e-4)


class Unheard(RegressorMixin, BaseEstimator):
    def fit(self, rows, target):
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows):
        return rows[:, 0]


def test_what_has_no_converter_is_told_with_the_reason():
    with pytest.raises(NotConvertible, match="skl2onnx cannot convert it"):
        exported(Unheard().fit(*fitted_on()))


def test_a_threshold_is_rounded_down_so_that_no_row_decides_otherwise():
    thresholds = np.array([0.1, 1 / 3, 16_777_217.0, -0.1, 0.5, 0.0])
    rounded = floor32(thresholds)
    assert rounded.dtype == np.float32
    assert (rounded.astype(float) <= thresholds).all()
    assert (np.nextafter(rounded, np.float32(np.inf)).astype(float) > thresholds).all()


def test_a_graph_is_valid_and_of_one_input_and_one_output():
    rows, target = fitted_on()
    graph = onnx.load_from_string(
        to_onnx(
            HistGradientBoostingRegressor(**CATEGORIES).fit(rows, target), n_features=7, codes=CODES
        )
    )
    onnx.checker.check_model(graph, full_check=True)
    assert [given.name for given in graph.graph.input] == ["matrix"]
    assert [made.name for made in graph.graph.output] == ["prediction"]


# --- whether it may be loaded at all -------------------------------------------------------------


def graph_of_ridge() -> onnx.ModelProto:
    rows, target = fitted_on()
    return onnx.load_from_string(
        to_onnx(scaled(Ridge()).fit(rows, target), n_features=N_FEATURES, codes={})
    )


def elsewhere(tensor: onnx.TensorProto, place: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)


@pytest.mark.parametrize("place", ["/etc/passwd", "../../secrets", "weights.bin"])
@pytest.mark.parametrize("hidden", ["initializer", "attribute", "branch"])
def test_numbers_in_another_file_are_refused(place, hidden):
    model = graph_of_ridge()
    assert why_not_closed(model) == ""
    if hidden == "initializer":
        elsewhere(model.graph.initializer[0], place)
    else:
        tensor = onnx.numpy_helper.from_array(np.zeros(4), "hidden")
        elsewhere(tensor, place)
        node = onnx.helper.make_node("Constant", [], ["unused"])
        node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)
        if hidden == "branch":
            inner = onnx.helper.make_graph([node], "inner", [], [])
            node = onnx.helper.make_node("If", ["matrix"], ["chosen"], then_branch=inner)
        model.graph.node.append(node)
    assert why_not_closed(model) == "its numbers are in another file"


def test_operators_that_are_not_of_onnx_are_refused():
    model = graph_of_ridge()
    model.graph.node.append(onnx.helper.make_node("Run", ["matrix"], ["x"], domain="com.evil"))
    assert why_not_closed(model) == "it needs operators of com.evil"
    model = graph_of_ridge()
    model.functions.add(name="Add", domain="ai.onnx.ml")
    assert why_not_closed(model) == "it brings 1 functions of its own"


def test_another_signature_is_refused(monkeypatch):
    model = graph_of_ridge()
    model.graph.output.append(onnx.helper.make_tensor_value_info("more", 1, [None]))
    assert "makes ['prediction', 'more'] of ['matrix']" in why_not_closed(model)
    monkeypatch.setattr(closed, "MOST_BYTES", 100)
    assert "at most 100 are served" in why_not_closed(graph_of_ridge())


def test_what_a_converter_makes_with_operators_of_its_own_is_not_a_graph_for_us(monkeypatch):
    rows, target = fitted_on(missing=False)
    estimator = GradientBoostingRegressor(n_estimators=2).fit(rows, target)
    assert to_onnx(estimator, n_features=N_FEATURES, codes={})
    monkeypatch.setattr(closed, "_DOMAINS", {""})
    with pytest.raises(NotConvertible, match=r"may not be served: it needs operators of ai\.onnx"):
        to_onnx(estimator, n_features=N_FEATURES, codes={})


# --- whether it may stand for the estimator -----------------------------------------------------


@pytest.mark.parametrize(
    ("parity", "why"),
    [
        (Parity(100, MOST), ""),
        (Parity(100, 2 * MOST), "differs by 2e-05 of the value on 100 rows"),
        (Parity(100, float("nan")), "differs by nan"),
        (Parity(0, 0.0), "no row to compare"),
        (Parity(1_000, 0.0, labels_differ=3), "3 of 1,000 rows get another label"),
    ],
)
def test_only_what_is_the_same_may_stand_for_it(parity, why):
    seen = why_not_the_same(parity)
    assert (seen == "") if why == "" else (why in seen)


def test_a_number_on_either_side_that_is_none_is_a_difference():
    one = {"prediction": np.array([1.0, 2.0])}
    other = {"prediction": np.array([1.0, np.nan])}
    assert why_not_the_same(compare(one, other))
    assert why_not_the_same(compare(other, one))
    assert not why_not_the_same(compare(one, one))


PLAN = {
    "steps": [
        {"kind": "number", "names": [f"n{i}"]} if i not in CODES
        else {"kind": "category", "names": [f"n{i}"], "categories": list(range(CODES[i]))}
        for i in range(N_FEATURES)
    ]
}  # fmt: skip


def test_a_graph_that_answers_as_the_estimator_does_is_served():
    rows, target = fitted_on()
    estimator = HistGradientBoostingRegressor(**CATEGORIES).fit(rows, target)
    chosen = formats.serving_format(estimator, PLAN, matrix(1), None)
    assert chosen.onnx is not None
    assert "on 1,500 rows" in chosen.reason


def test_a_graph_that_answers_otherwise_is_not_served(monkeypatch):
    """Thresholds rounded to the nearest float32, as by a converter that does not care."""
    rows, target = fitted_on()
    rows[:, 0] = np.random.default_rng(5).integers(0, 3, N_ROWS) / np.float32(10)
    estimator = HistGradientBoostingRegressor(**CATEGORIES).fit(rows, target)
    wrong = HistGradientBoostingRegressor(**{**CATEGORIES, "max_iter": 39}).fit(rows, target)
    graph = to_onnx(wrong, n_features=N_FEATURES, codes=CODES)
    monkeypatch.setattr(formats, "to_onnx", lambda *_, **__: graph)
    chosen = formats.serving_format(estimator, PLAN, matrix(1), None)
    assert chosen.onnx is None
    assert "its ONNX is not the same: it differs by" in chosen.reason


def test_what_does_not_convert_is_served_by_scikit_learn():
    chosen = formats.serving_format(Unheard().fit(*fitted_on()), PLAN, matrix(1), None)
    assert chosen.onnx is None
    assert chosen.reason.startswith("scikit-learn: no ONNX: skl2onnx cannot convert it")
