"""SHAP values add up to what the model says, are the same by seed, and cost what they may."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from include.evergreen.stages.training.card import explain
from include.evergreen.stages.training.card.explain import plan_size

COLOURS = ["red", "green", None]


class Model:
    """Answers like a Predictor: numbers with gaps, categories, flags; one column counts nothing."""

    def __init__(self, classes=None) -> None:
        self.classes = classes
        kinds = {"size": "float", "colour": "category", "flag": "boolean", "noise": "float"}
        self.contract = {
            "columns": {name: {"type": kind} for name, kind in kinds.items()},
            "optional": {},
        }
        self.asked = 0

    def predict(self, columns):
        size = np.nan_to_num(np.asarray(columns["size"], dtype=float), nan=5.0)
        red = np.array([value == "red" for value in columns["colour"]], dtype=float)
        flag = np.nan_to_num(np.asarray(columns["flag"], dtype=float))
        self.asked += len(size)
        value = 3 * size + 2 * red * flag
        if self.classes is None:
            return {"prediction": value}
        share = 1 / (1 + np.exp(-value / 5))
        rest = [(1 - share) / (len(self.classes) - 1)] * (len(self.classes) - 1)
        shares = [*rest, share]
        return {f"probability_{c}": s for c, s in zip(self.classes, shares, strict=True)}


def rows(n: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    size[::7] = np.nan
    return pl.DataFrame(
        {
            "size": size,
            "colour": [COLOURS[i] for i in rng.integers(0, 3, n)],
            "flag": rng.integers(0, 2, n).astype(bool),
            "noise": rng.normal(size=n),
        }
    ).with_columns(pl.col("size").fill_nan(None))


@pytest.mark.parametrize("classes", [None, ["no", "yes"], [1, 2, 3]])
def test_values_and_base_add_up_to_the_answer_of_each_row(classes):
    found = explain.explain(Model(classes), rows(300, 1), rows(200, 2), seed=7)
    total = found.values.sum(axis=1) + found.base
    np.testing.assert_allclose(total, found.answers, atol=1e-9)
    outputs = 1 if classes is None or len(classes) == 2 else len(classes)
    assert found.values.shape == (160, 4, outputs)
    order = list(found.importances())
    assert order[0] == "size"
    assert order[-1] == "noise"
    assert found.importances()["noise"] == 0.0


def test_the_same_seed_gives_the_same_and_leaves_the_shared_generator_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 - shap draws from it
    first = explain.explain(Model(), rows(300, 1), rows(200, 2), seed=7)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    again = explain.explain(Model(), rows(300, 1), rows(200, 2), seed=7)
    np.testing.assert_array_equal(first.values, again.values)
    other = explain.explain(Model(), rows(300, 1), rows(200, 2), seed=8)
    assert not np.array_equal(first.rows["noise"], other.rows["noise"])


def test_few_rows_and_a_column_that_never_varies_are_explained():
    constant = rows(9, 1).with_columns(pl.lit(1.0).alias("size"), pl.lit("red").alias("colour"))
    found = explain.explain(Model(), constant, constant[:3], seed=7)
    assert found.values.shape[0] == 12
    assert found.importances()["size"] == 0.0


@pytest.mark.parametrize("n_columns", [1, 4, 12, 60, 300, explain.MOST_COLUMNS])
def test_the_model_is_asked_within_the_budget_however_many_columns(n_columns):
    size = plan_size(n_columns)
    assert size.rows >= explain.FEWEST_ROWS
    assert size.background >= explain.FEWEST_BACKGROUND
    asked = size.rows * size.background * (2 * n_columns + 1)
    assert asked <= 1.05 * explain.EVALUATIONS or n_columns == 1


def test_what_is_asked_is_what_is_told():
    model = Model()
    found = explain.explain(model, rows(300, 1), rows(200, 2), seed=7)
    assert found.evaluations == model.asked <= 1.1 * explain.EVALUATIONS


def test_shap_is_imported_without_its_compiler_and_leaves_it_on_for_others(project_root):
    code = """
        import numba
        from include.evergreen.stages.training.card import plain_shap
        import shap.utils._masked_model as compiled
        print(numba.config.DISABLE_JIT, type(compiled._build_fixed_single_output).__name__)
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=project_root, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "function"]


def test_a_spec_of_too_many_columns_is_told_as_not_explained():
    from include.evergreen.stages.training.card.dependence import explanation_of

    contract = {"columns": dict.fromkeys(range(explain.MOST_COLUMNS + 1))}
    contest = SimpleNamespace(challenger=SimpleNamespace(contract=contract))
    found = explanation_of(contest)
    assert found == {"computed": False, "why_not": "1,001 columns; at most 1,000 are explained"}
