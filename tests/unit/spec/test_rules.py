"""The rules between fields: each broken one is named with its place."""

import pytest

from include.evergreen.spec import load_spec

BINARY = """\
model: rides
task: binary
data:
  landing: landing/rides
  target: late
  columns:
    distance: {type: float}
    late: {type: boolean}
training: {metric: roc_auc}
"""


@pytest.mark.parametrize(
    ("seen", "written", "expected"),
    [
        ("metric: rmse", "metric: roc_auc", "training.metric: 'roc_auc' does not fit regression"),
        ("metric: rmse", "metric: median_absolute_error", "mean 'neg_median_absolute_error'?"),
        ("metric: rmse", "metric: recall_macro", "'recall_macro' does not fit regression; use rms"),
        ("metric: rmse", "metric: rand_score", "'rand_score' judges no model: it compares two way"),
        ("metric: rmse", "metric: rsme", "Did you mean 'rmse'?"),
        ("target: count", "target: cuont", "'cuont' is not in data.columns. Did you mean 'count'?"),
        ("time: at", "time: count", "data.time: 'count' is the target"),
        ("key: ride", "key: count", "data.key: 'count' is the target"),
        ("time: at", "time: humidity", "the time column is a timestamp, not a integer"),
        ("    weather:", "    _file_digest: {type: float}\n    weather:", "the lake uses itself"),
        ("count: {type: integer, min: 0}", "count: {type: boolean}", "predicts a number"),
        ("[clear, mist, rain]", "[]", "is empty; leave it out"),
        ("[clear, mist, rain]", "[clear, clear]", "holds a value twice"),
        ("[clear, mist, rain]", "[clear, 1]", "mixes texts and integers"),
        ("[clear, mist, rain]", "[true, false]", "saw True"),
        ("[clear, mist, rain]", "[1.5]", "saw 1.5"),
        ("type: float, min: -30", "type: boolean, min: -30", "a boolean has no min"),
        ("type: integer, min: 0, max: 100", "type: integer, values: [1]", "lists no values"),
        ("type: float,", "type: floatt,", "Did you mean 'float'?"),
        ("  key: ride\n", "  labels: {landing: x, key: ride}\n", "data.key is not set"),
        (
            "  key: ride\n",
            "  key: ride\n  labels: {landing: landing/rides, key: ride}\n",
            "is the landing zone of the rows",
        ),
        ("  time: at\n", "  limits: {max_categories: 2}\n", "lists 3 values"),
        (
            "training:",
            "retrain: {drift_windows: {n: 3, of: 2}}\ntraining:",
            "retrain.drift_windows.n: 3 of 2 windows cannot drift",
        ),
        *(
            ("training:", f"deployment: {{{said}}}\ntraining:", expected)
            for said, expected in (
                ("canary: {steps: [0.5, 0.1]}", "deployment.canary.steps: must ascend"),
                ("canary: {steps: [0.1, 0.1]}", "deployment.canary.steps: must ascend"),
                ("canary: {steps: [0, 0.1]}", "steps.0: 0 is no part of the requests"),
                ("canary: {steps: [0.1, 1]}", "steps.1: 1 is no part of the requests"),
                (
                    "canary: {steps: [0.1, 0.5], window_s: 60, deadline_s: 119}",
                    "canary.deadline_s: 119 s end before 2 steps of 60 s could",
                ),
                ("approval_rules: {users: [admin, admin]}", "users.1: 'admin' stands twice"),
                ("approval_rules: {users: [' ']}", "users.0: is nobody's name"),
            )
        ),
        ("metric: rmse", "metric: rmse\n  estimators: [xgboost]", "known are hist_gradient_boost"),
        ("metric: rmse", "metric: rmse\n  estimators: [rigde]", "Did you mean 'ridge'?"),
        ("metric: rmse", "metric: rmse\n  estimators: [ridge, ridge]", "estimators.1: 'ridge' st"),
        ("metric: rmse", "metric: rmse\n  estimators: [logistic_regression]", "does not fit"),
        ("metric: rmse", "metric: rmse\n  estimators: ['os:system']", "is no builder"),
        ("metric: rmse", "metric: rmse\n  estimators: ['include.models.x']", "is no builder"),
        ("metric: rmse", "metric: rmse\n  estimators: ['include.models.x:a.b']", "is no builder"),
    ],
)
def test_a_broken_rule_is_named(valid, refusal, seen, written, expected):
    assert seen in valid
    assert expected in refusal(valid.replace(seen, written))


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("features: {calendar: [hour, hour]}", "names a part twice"),
        ("features: {calendar: [minute]}", "features.calendar.0: saw 'minute'"),
        ("features: {calendar: [holiday]}", "both or neither"),
        ("features: {holidays: [2011-12-25]}", "both or neither"),
        ("features: {holidays: [2011-13-25], calendar: [holiday]}", "saw '2011-13-25'"),
        ("features: {ratios: {x: {numerator: weather, denominator: humidity}}}", "no numeric feat"),
        ("features: {ratios: {x: {numerator: humdity, denominator: humidity}}}", "'humidity'?"),
        ("features: {ratios: {x: {numerator: count, denominator: humidity}}}", "no numeric feat"),
        (
            "features: {ratios: {humidity: {numerator: humidity, denominator: temperature}}}",
            "is a column's or ratio's name",
        ),
        ("gates: {naive_baseline: majority}", "'majority' does not fit regression"),
        ("gates: {min_improvement: 0}", "greater than 0"),
        ("gates: {floors: {r2: 0.5, roc_auc: 0.7}}", "gates.floors.roc_auc: 'roc_auc' does not"),
        ("gates: {floors: {maee: 5}}", "gates.floors.maee: 'maee' is not known; regression: rmse"),
        ("gates: {floors: {explained_varianse: 1}}", "Did you mean 'explained_variance'?"),
        ("monitoring: {ignore: [humidty]}", "'humidty' is no column. Did you mean 'humidity'?"),
    ],
)
def test_a_broken_rule_of_another_section_is_named(valid, refusal, section, expected):
    assert expected in refusal(f"{valid}{section}\n")


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("features: {calendar: [hour]}", "data.time is not set"),
        ("gates: {naive_baseline: last_value}", "'last_value' needs data.time"),
        ("gates: {naive_baseline: mean}", "'mean' does not fit binary"),
    ],
)
def test_what_needs_a_time_column_says_so(refusal, section, expected):
    assert expected in refusal(f"{BINARY}{section}\n")


def test_a_holdout_in_days_needs_a_time_column(refusal):
    broken = BINARY.replace("metric: roc_auc", "metric: roc_auc, holdout: {days: 14}")
    assert "needs data.time; use share" in refusal(broken)


@pytest.mark.parametrize(
    ("task", "target", "expected"),
    [
        ("binary", "{type: category, values: [a, b]}", None),
        ("binary", "{type: category, values: [0, 1]}", None),
        ("binary", "{type: category, values: [0, 1, 2]}", "a binary target has 2"),
        ("binary", "{type: integer}", "a boolean, or a category with its values"),
        ("binary", "{type: category}", "a boolean, or a category with its values"),
        ("multiclass", "{type: category, values: [a, b, c]}", None),
        ("multiclass", "{type: category, values: [a, b]}", "multiclass needs 3"),
        ("multiclass", "{type: boolean}", "a category with its values"),
        ("binary", "{type: category, values: [a, b], unseen: as_missing}", "cannot be taken as"),
    ],
)
def test_the_target_of_a_classifier_lists_its_classes(refusal, write, task, target, expected):
    text = BINARY.replace("task: binary", f"task: {task}").replace("{type: boolean}", target)
    text = text.replace("roc_auc", "log_loss")
    if expected is None:
        assert load_spec(write(text)).task == task
    else:
        assert expected in refusal(text)


def test_a_spec_with_nothing_to_learn_from_is_refused(refusal):
    assert "nothing to learn from" in refusal(BINARY.replace("    distance: {type: float}\n", ""))


def test_words_that_yaml_1_1_takes_for_booleans_and_dates_stay_words(valid, write):
    spec = load_spec(write(valid.replace("[clear, mist, rain]", "[yes, no, on, off, 2011-01-01]")))
    assert spec.data.columns["weather"].values == ("yes", "no", "on", "off", "2011-01-01")


def test_a_builder_of_the_users_is_accepted(valid, write):
    text = valid.replace(
        "metric: rmse", "metric: rmse\n  estimators: ['include.models.my.kit:build']"
    )
    assert load_spec(write(text)).training.estimators == ("include.models.my.kit:build",)


@pytest.mark.parametrize(
    ("private", "expected"),
    [
        ("{weather: hash, temperature: leave_out}", None),
        ("{weathr: hash}", "'weathr' is no feature column. Did you mean 'weather'?"),
        ("{temperature: hash}", "'temperature' is no text, and only a text can be hashed"),
        ("{weather: blur}", "hash"),
    ],
)
def test_only_features_are_private_and_only_texts_are_hashed(
    valid, write, refusal, private, expected
):
    text = f"{valid}deployment: {{prediction_log: {{share: 0.5, private: {private}}}}}\n"
    if expected is None:
        assert load_spec(write(text)).deployment.prediction_log.share == 0.5
    else:
        assert expected in refusal(text)


@pytest.mark.parametrize("metric", ["mae", "neg_median_absolute_error", "explained_variance"])
def test_a_scorer_of_scikit_learn_is_a_metric_and_a_floor(valid, write, metric):
    text = valid.replace("metric: rmse", f"metric: {metric}")
    spec = load_spec(write(f"{text}gates: {{floors: {{{metric}: -3.5}}}}\n"))
    assert spec.training.metric == metric
    assert spec.gates.floors == {metric: -3.5}
