"""Only a clear win registers: the scores must be comparable, and no gate that blocks may fail."""

import dataclasses
import functools
import math

import pytest

from include.evergreen.contracts import GateResult, Score
from include.evergreen.policy.gates.baseline import baseline as baseline_gate
from include.evergreen.policy.gates.champion import Resampled
from include.evergreen.policy.gates.champion import champion as champion_gate
from include.evergreen.policy.gates.finding import Finding, result_of, switched_off
from include.evergreen.policy.judging import JudgingRules, judge

ALWAYS = Resampled(better_share=1.0, interval=(0.1, 0.3), resamples=200, block_rows=24)


def score(value: float, n_rows: int = 500, metric: str = "rmse") -> Score:
    return Score(metric, value, n_rows)


def of(greater: bool):
    """Scores of a metric of which more is better, or less."""
    return functools.partial(score, metric="r2" if greater else "rmse")


def rules(gate=0.01, baseline=0.01) -> JudgingRules:
    return JudgingRules(gate, baseline)


def judged(challenger, champion, baseline, *more, version=None, resampled=ALWAYS, how=None):
    """The word on these scores, with the two gates that look at nothing but scores."""
    how = how or rules()
    found = {
        "baseline": baseline_gate(
            challenger, baseline, min_improvement=how.min_baseline_improvement, kind="mean"
        )
    }
    if champion is not None:
        found["champion"] = champion_gate(
            challenger,
            champion,
            baseline,
            resampled,
            min_improvement=how.min_improvement,
            confidence=0.9,
            name="the champion" if version is None else f"champion v{version}",
        )
    gates = [
        result_of(name, "block", found[name]) for name in ("champion", "baseline") if name in found
    ]
    return judge(challenger, champion, baseline, [*gates, *more], how, version)


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
    made = of(greater)
    word = judged(made(challenger), made(champion), made(baseline), version=3)
    assert word.verdict == verdict, word.reason
    assert word.champion_version == 3


def test_a_tie_keeps_the_champion():
    word = judged(score(10.0), score(10.0), score(20.0), version=4)
    assert word.verdict == "lost"
    assert word.reason.startswith("a tie with champion v4 (rmse 10 against 10)")


@pytest.mark.parametrize(
    ("share", "verdict"), [(1.0, "won"), (0.9, "won"), (0.895, "lost"), (0.0, "lost")]
)
def test_a_win_by_the_margin_that_is_luck_is_lost(share, verdict):
    drawn = dataclasses.replace(ALWAYS, better_share=share)
    word = judged(score(80.0), score(100.0), score(200.0), version=2, resampled=drawn)
    assert word.verdict == verdict, word.reason
    but = "but " if verdict == "lost" else ""
    assert word.reason.startswith(
        f"20.00% better than champion v2 (rmse 80 against 100), in {share:.1%} of the resamples, "
        f"{but}required 1.00% and 90% of them (gate champion)"
    )


def test_the_interval_of_the_improvement_is_told_as_the_improvement_is():
    drawn = dataclasses.replace(ALWAYS, interval=(-5.0, 30.0))
    evidence = (
        judged(score(80.0), score(100.0), score(200.0), version=2, resampled=drawn)
        .gates[0]
        .evidence
    )
    assert evidence["improvement"] == pytest.approx(0.2)
    assert evidence["interval"] == pytest.approx([-0.05, 0.3])
    unknown = dataclasses.replace(ALWAYS, interval=None, better_share=0.0)
    word = judged(score(80.0), score(100.0), score(200.0), version=2, resampled=unknown)
    assert word.verdict == "lost"
    assert word.gates[0].evidence["interval"] is None


@pytest.mark.parametrize(
    ("challenger", "baseline", "verdict"),
    [(50.0, 100.0, "won"), (99.5, 100.0, "lost"), (100.0, 100.0, "lost"), (150.0, 100.0, "lost")],
)
def test_a_first_model_must_beat_the_naive_baseline(challenger, baseline, verdict):
    word = judged(score(challenger), None, score(baseline))
    assert word.verdict == verdict, word.reason
    assert word.required_improvement == 0.01


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("who", ["challenger", "champion", "baseline"])
@pytest.mark.parametrize("metric", ["rmse", "r2"])
def test_a_score_that_is_no_number_is_a_no(bad, who, metric):
    values = {"challenger": 0.9, "champion": 0.5, "baseline": 0.1, who: bad}
    scores = [score(value, metric=metric) for value in values.values()]
    word = judge(*scores, [PASSED], rules())
    assert word.verdict == "lost"
    assert f"the {metric} of the {who} is no number" in word.reason


def test_no_rows_is_a_no():
    word = judge(score(1.0, 0), score(2.0, 0), score(3.0, 0), [PASSED], rules())
    assert word.verdict == "lost"
    assert word.reason == "the challenger was scored on no rows"


def test_scores_on_different_rows_are_not_compared():
    word = judge(score(1.0), score(2.0, 400), score(3.0), [PASSED], rules())
    assert word.verdict == "lost"
    assert "not of one metric on the same rows" in word.reason


def test_a_loss_names_both_scores_and_the_margin():
    word = judged(score(99.5), score(100.0), score(200.0), version=2)
    assert word.reason == (
        "0.50% better than champion v2 (rmse 99.5 against 100), in 100.0% of the resamples, "
        "but required 1.00% and 90% of them (gate champion)"
    )


PASSED = GateResult("floors", "block", "passed", "rmse 80", "rmse <= 90")
FAILED = GateResult("size", "block", "failed", "400 MiB", "at most 256 MiB")
WARNED = dataclasses.replace(FAILED, mode="warn")
NOTHING = result_of("slices", "block", Finding(None, "no slice is named", "gates.slices"))
OFF = switched_off("latency")


@pytest.mark.parametrize(
    ("gates", "verdict"),
    [
        ([PASSED], "won"),
        ([PASSED, WARNED], "won"),
        ([PASSED, NOTHING, OFF], "won"),
        ([WARNED], "won"),
        ([FAILED], "lost"),
        ([PASSED, FAILED, OFF], "lost"),
        ([], "lost"),  # nobody looked
    ],
)
def test_a_challenger_wins_only_if_no_gate_that_blocks_failed(gates, verdict):
    word = judge(score(80.0), score(100.0), score(200.0), gates, rules(), 2)
    assert word.verdict == verdict, word.reason
    assert word.gates == tuple(gates)
    assert word.improvement == pytest.approx(0.2)


def test_every_gate_that_blocked_is_named_with_what_it_saw_and_a_warning_is_told():
    other = GateResult("calibration", "block", "failed", "an error of 0.2", "at most 0.1")
    word = judged(score(80.0), score(100.0), score(200.0), FAILED, other, version=2)
    assert word.reason == (
        "400 MiB, but required at most 256 MiB (gate size); "
        "an error of 0.2, but required at most 0.1 (gate calibration)"
    )
    word = judged(score(80.0), score(100.0), score(200.0), WARNED, version=2)
    assert word.verdict == "won"
    assert word.reason.endswith("; warning: 400 MiB, but required at most 256 MiB (gate size)")
    word = judge(score(80.0), None, score(100.0), [PASSED, OFF], rules())
    assert word.reason == "1 of 2 gates passed, and none that blocks failed"


def test_a_negated_error_is_judged_as_the_error_is():
    negated = functools.partial(score, metric="neg_root_mean_squared_error")
    for challenger, champion in ((0.0098, 0.01), (0.00995, 0.01), (0.011, 0.01), (0.0, 0.01)):
        error = judged(score(challenger), score(champion), score(0.05), version=3)
        scorer = judged(negated(-challenger), negated(-champion), negated(-0.05), version=3)
        assert scorer.verdict == error.verdict
        assert scorer.improvement == pytest.approx(error.improvement)
