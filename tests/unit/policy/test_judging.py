"""Only a clear win registers."""

import dataclasses
import math

import pytest

from include.evergreen.contracts import Score
from include.evergreen.policy.judging import JudgingRules, judge


def score(value: float, n_rows: int = 500, metric: str = "rmse") -> Score:
    return Score(metric, value, n_rows)


def rules(greater=False, gate=0.01, baseline=0.01) -> JudgingRules:
    return JudgingRules(greater, gate, baseline)


@pytest.mark.parametrize(
    ("greater", "challenger", "champion", "baseline", "verdict"),
    [
        (False, 99.0, 100.0, 200.0, "won"),  # exactly the margin
        (False, 99.1, 100.0, 200.0, "lost"),
        (False, 100.0, 100.0, 200.0, "lost"),  # a tie
        (False, 101.0, 100.0, 200.0, "lost"),
        (False, 90.0, 100.0, 80.0, "lost"),  # better than the champion, not than the baseline
        (False, 0.0, 0.0, 1.0, "lost"),  # both perfect
        (False, 0.0, 0.0, 0.0, "lost"),
        (False, 1e-9, 2e-9, 1.0, "lost"),  # 50% better, of next to nothing
        (False, 0.0, 1.0, 1.0, "won"),
        (True, 0.909, 0.9, 0.5, "won"),
        (True, 0.9, 0.9, 0.5, "lost"),
        (True, 0.904, 0.9, 0.5, "lost"),
        (True, 0.5, -1.5, 0.0, "won"),  # an R² below zero
        (True, 0.0015, 0.001, 0.0, "lost"),  # 50% better, of an R² of nothing
        (True, 0.4, 0.3, 0.5, "lost"),
    ],
)
def test_a_challenger_wins_only_by_the_margin(greater, challenger, champion, baseline, verdict):
    judged = judge(score(challenger), score(champion), score(baseline), rules(greater), 3)
    assert judged.verdict == verdict, judged.reason
    assert judged.champion_version == 3


def test_a_tie_keeps_the_champion():
    judged = judge(score(10.0), score(10.0), score(20.0), rules(), 4)
    assert judged.verdict == "lost"
    assert judged.reason.startswith("a tie with champion v4 (rmse 10 against 10)")


@pytest.mark.parametrize(
    ("challenger", "baseline", "verdict"),
    [(50.0, 100.0, "won"), (99.5, 100.0, "lost"), (100.0, 100.0, "lost"), (150.0, 100.0, "lost")],
)
def test_a_first_model_must_beat_the_naive_baseline(challenger, baseline, verdict):
    judged = judge(score(challenger), None, score(baseline), rules())
    assert judged.verdict == verdict, judged.reason
    assert judged.required_improvement == 0.01


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("who", ["challenger", "champion", "baseline"])
@pytest.mark.parametrize("greater", [True, False])
def test_a_score_that_is_no_number_is_a_no(bad, who, greater):
    scores = {"challenger": score(0.9), "champion": score(0.5), "baseline": score(0.1)}
    scores[who] = score(bad)
    judged = judge(*scores.values(), rules(greater))
    assert judged.verdict == "lost"
    assert f"the rmse of the {who} is no number" in judged.reason


def test_no_rows_is_a_no():
    judged = judge(score(1.0, 0), score(2.0, 0), score(3.0, 0), rules())
    assert judged.verdict == "lost"
    assert judged.reason == "the challenger was scored on no rows"


def test_scores_on_different_rows_are_not_compared():
    judged = judge(score(1.0), score(2.0, 400), score(3.0), rules())
    assert judged.verdict == "lost"
    assert "not of one metric on the same rows" in judged.reason


def test_a_loss_names_both_scores_and_the_margin():
    judged = judge(score(99.5), score(100.0), score(200.0), rules(), 2)
    assert judged.reason == (
        "0.50% better than champion v2 (rmse 99.5 against 100), but required 1.00%"
    )


def test_a_negated_error_is_judged_as_the_error_is():
    of_errors = dataclasses.replace(rules(greater=False), min_improvement=0.01)
    negated = dataclasses.replace(of_errors, greater_is_better=True, ends_at_one=False)
    for challenger, champion in ((0.0098, 0.01), (0.00995, 0.01), (0.011, 0.01), (0.0, 0.01)):
        error = judge(score(challenger), score(champion), score(0.05), of_errors, 3)
        scorer = judge(score(-challenger), score(-champion), score(-0.05), negated, 3)
        assert scorer.verdict == error.verdict
        assert scorer.improvement == pytest.approx(error.improvement)
