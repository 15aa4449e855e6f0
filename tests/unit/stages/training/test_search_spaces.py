"""Every estimator's space contains its defaults, and the same seed builds the same model."""

import numpy as np
import polars as pl
import pytest

from include.evergreen.adapters.studies import Studies
from include.evergreen.spec.rules import ESTIMATORS
from include.evergreen.stages.bundle import contract_of
from include.evergreen.stages.training.golden_rows import MOST, pick_golden_rows
from include.evergreen.stages.training.recipes import Kitchen, threads_of
from include.evergreen.stages.training.search_spaces import SPACES, Facts, Recipe, default_recipe

CASES = [(name, task) for name, tasks in ESTIMATORS.items() for task in tasks]


def test_every_estimator_a_spec_may_name_has_a_space():
    assert set(SPACES) == set(ESTIMATORS)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_defaults_lie_in_the_space_and_build(home, name, task):
    facts = Facts(task, 1000, is_count=task == "regression", categorical_indices=(0,))
    recipe = default_recipe(name, facts)
    study = Studies(home).open(
        f"{name}-{task}", greater_is_better=True, seed=1, first=lambda: [recipe.as_trial()]
    )
    trial = study.ask()
    assert trial.choice("estimator", [name]) == name
    assert SPACES[name].suggest(trial, name, facts) == recipe.params
    assert SPACES[name].build(recipe.params, facts, 7, 1).get_params()


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "random_forest", "ridge"])
def test_the_same_rows_and_seed_make_the_same_model(bike, rides, name):
    frame = rides("2011-01-01", "2011-02-01")
    rows = np.arange(frame.height)
    kitchen = Kitchen(bike.spec, bike.settings.models_dir, frame)
    recipe = kitchen.defaults(name)
    one, two = (
        kitchen.predict(kitchen.fit(recipe, threads), rows, 1)["prediction"] for threads in (1, 2)
    )
    np.testing.assert_allclose(one, two, rtol=1e-12)


def test_a_recipe_survives_its_way_through_a_trial():
    recipe = Recipe("ridge", {"alpha": 0.5})
    assert recipe.as_trial() == {"estimator": "ridge", "ridge.alpha": 0.5}
    others = {"random_forest.max_depth": 3}
    assert Recipe.from_trial(recipe.as_trial() | others) == recipe


def test_cores_are_shared_among_workers_and_each_has_one_at_least(monkeypatch):
    monkeypatch.setattr("include.evergreen.stages.training.recipes.joblib.cpu_count", lambda: 8)
    assert [threads_of(n) for n in (1, 2, 3, 8, 64)] == [8, 4, 2, 1, 1]


def test_golden_rows_show_every_category_every_gap_and_an_unseen_value(bike, rides):
    columns = {"weathersit": {"type": "category", "values": [1, 2, 3, 4], "unseen": "as_missing"}}
    document = bike.spec.model_dump(mode="json", exclude_unset=True)
    document["data"]["columns"] |= columns
    bike.change(data=document["data"])
    frame = rides("2011-01-01", "2011-04-01")
    golden = pick_golden_rows(frame, contract_of(bike.spec))
    assert len(golden) <= MOST
    assert {1, 2, 3} <= {row["weathersit"] for row in golden}
    assert {True, False} == {row["holiday"] for row in golden}
    nullable = {name for name, c in bike.spec.feature_columns.items() if c.max_null_share > 0}
    assert all(any(row[name] is None for row in golden) for name in nullable)
    assert any(row["weathersit"] not in (1, 2, 3, 4, None) for row in golden)
    assert golden == pick_golden_rows(frame, contract_of(bike.spec))


def test_a_row_that_breaks_the_contract_of_requests_is_no_golden_row(bike, rides):
    frame = rides("2011-01-01", "2011-02-01").with_columns(
        hr=pl.when(pl.int_range(pl.len()) % 2 == 0).then(None).otherwise(pl.col("hr"))
    )
    golden = pick_golden_rows(frame, contract_of(bike.spec))
    assert golden
    assert all(row["hr"] is not None for row in golden)
