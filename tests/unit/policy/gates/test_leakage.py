"""Too good to be true: one column that is the target, or a holdout that is known."""

import math

import pytest

from include.evergreen.policy.gates.leakage import (
    Importance,
    LeakageRules,
    check_leakage,
    holdout_gain,
)

RULES = LeakageRules(max_feature_share=0.8, max_skill=0.95, max_holdout_gain=0.6)
SOUND = (20.0, 100.0)


def check(skill=0.8, alone=None, learned=SOUND, holdout=SOUND, importances=()):
    return check_leakage(skill, importances, alone or {}, learned, holdout, RULES)


@pytest.mark.parametrize(
    ("skill", "share", "passed"),
    [
        (0.96, 0.81, False),
        (0.96, 0.80, True),  # exactly the share
        (0.95, 0.99, True),  # exactly the skill: a strong column is no crime
        (0.5, 1.0, True),
        (1.0, 1.0, False),
        (1.0, 0.5, True),
        (math.nan, 1.0, True),  # the naive baseline is perfect: the baseline's gate says no
    ],
)
def test_one_column_alone_is_suspicious_only_of_a_nearly_perfect_model(skill, share, passed):
    assert check(skill, {"paid": share, "hour": 0.1}).passed is passed


@pytest.mark.parametrize(
    ("learned", "holdout", "gain"),
    [
        ((10.0, 100.0), (10.0, 100.0), 0.0),
        ((10.0, 100.0), (4.0, 100.0), 0.6),
        ((10.0, 100.0), (4.0, 40.0), 0.0),  # easier weeks: the naive baseline errs less, too
        ((10.0, 100.0), (10.0, 500.0), 0.0),  # another level: only the naive baseline errs more
        ((10.0, 100.0), (20.0, 100.0), -1.0),
        ((0.0, 100.0), (5.0, 100.0), 0.0),
        ((10.0, 0.0), (5.0, 100.0), 0.5),
    ],
)
def test_the_holdouts_gain_is_the_smaller_of_two(learned, holdout, gain):
    assert holdout_gain(learned, holdout) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("holdout", "passed"), [((4.0, 100.0), True), ((3.9, 100.0), False), ((math.nan, 1.0), False)]
)
def test_a_holdout_answered_better_than_what_was_learned_is_suspicious(holdout, passed):
    found = check(learned=(10.0, 100.0), holdout=holdout)
    assert found.passed is passed, found.seen


def test_both_signs_are_told_with_their_figures():
    found = check(0.999, {"paid": 1.02, "hour": 0.3}, learned=(10.0, 100.0), holdout=(2.0, 100.0))
    assert found.seen == (
        "column 'paid' alone carries 100.0% of a skill of 0.9990: it looks like the target in "
        "disguise; the holdout is answered 80% better than the rows learned from (error 2 "
        "against 10): it looks known"
    )
    assert "over 80% of a skill above 0.95" in found.required
    assert found.evidence["alone"] == {"paid": 1.02, "hour": 0.3}


def test_the_evidence_has_the_columns_that_matter_most_first():
    many = [Importance(f"column_{number}", 1.0 + number, number / 100) for number in range(40)]
    found = check(importances=many)
    assert found.evidence["columns"] == 40
    assert len(found.evidence["importances"]) == 30
    assert found.evidence["importances"][0]["column"] == "column_39"
    assert found.seen == "a skill of 0.800, and no column alone that looks like the target"
