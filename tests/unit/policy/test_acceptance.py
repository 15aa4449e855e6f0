"""What counts as answered as expected; no answer, and no number, never does."""

import json
import math

import pytest

from include.evergreen.contracts import AcceptanceResult, Check
from include.evergreen.policy.acceptance import (
    ROWS_KEPT,
    Example,
    check_acceptance,
    judge_examples,
)

REFERENCE = Example("other", {}, between=(0, 10))


def judged(example: Example, answer, other=5.0) -> AcceptanceResult:
    answers = [answer, {"prediction": other}]
    return judge_examples([example, REFERENCE], answers)[0]


def check(results, mode="block") -> Check:
    return check_acceptance(results, mode=mode, file="x.acceptance.yaml", digest="d" * 64)


@pytest.mark.parametrize(
    ("prediction", "held"),
    [
        (10.0, True), (20.0, True), (15, True), (9.999999, False), (20.000001, False),
        (math.nan, False), (math.inf, False), (-math.inf, False), (None, False), ("15", False),
        (True, False), ([15], False),
    ],
)  # fmt: skip
def test_bounds_are_included_and_what_is_no_number_is_outside(prediction, held):
    assert judged(Example("x", {}, between=(10, 20)), {"prediction": prediction}).held is held


@pytest.mark.parametrize(
    ("relation", "prediction", "other", "held"),
    [
        ("above", 5.1, 5.0, True), ("above", 5.0, 5.0, False), ("above", 4.9, 5.0, False),
        ("above", 5.1, math.nan, False), ("above", 5.1, None, False),
        ("below", 4.9, 5.0, True), ("below", 5.0, 5.0, False), ("below", 5.1, 5.0, False),
        ("below", math.nan, 5.0, False), ("below", 4.9, "x", False),
    ],
)  # fmt: skip
def test_a_relation_is_strict_and_needs_two_numbers(relation, prediction, other, held):
    example = Example("x", {}, **{relation: "other"})
    assert judged(example, {"prediction": prediction}, other).held is held


def test_a_relation_to_a_case_without_an_answer_does_not_hold():
    examples = [Example("x", {}, above="other"), REFERENCE]
    first, second = judge_examples(examples, [{"prediction": 9.0}, "no prediction (HTTP 500)"])
    assert not first.held
    assert first.got == "9 ('other': nothing)"
    assert (second.held, second.got) == (False, "no prediction (HTTP 500)")


@pytest.mark.parametrize(
    ("label", "prediction", "held"),
    [
        ("a", "a", True), ("a", "b", False), (1, 1, True), (1, True, False), (True, 1, False),
        (True, True, True), (False, False, True), (False, 0, False), ("1", 1, False),
        (1, 1.0, False), ("a", None, False),
    ],
)  # fmt: skip
def test_a_label_is_the_same_value_of_the_same_type(label, prediction, held):
    assert judged(Example("x", {}, label=label), {"prediction": prediction}).held is held


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        ({"prediction": "a", "probability_a": 0.8, "probability_b": 0.2}, True),
        ({"prediction": "a", "probability_a": 0.79, "probability_b": 0.2}, False),
        ({"prediction": "b", "probability_a": 0.8, "probability_b": 0.2}, False),
        ({"prediction": "a", "probability_a": 0.8, "probability_b": 0.31}, False),
        ({"prediction": "a", "probability_a": 0.8}, False),
        ({"prediction": "a", "probability_a": math.nan, "probability_b": 0.2}, False),
    ],
)
def test_label_and_every_probability_must_hold(answer, held):
    example = Example("x", {}, label="a", probability={"a": (0.8, 1), "b": (0, 0.3)})
    result = judged(example, answer)
    assert result.held is held
    assert result.expected == "a; probability of a 0.8 to 1; probability of b 0 to 0.3"


def test_an_example_that_expects_nothing_does_not_hold():
    assert not judged(Example("x", {}), {"prediction": 1.0}).held


def test_an_example_beyond_the_answers_does_not_hold():
    results = judge_examples([REFERENCE, Example("x", {}, between=(0, 9))], [{"prediction": 1.0}])
    assert [result.held for result in results] == [True, False]
    assert results[1].got == "no answer"


def test_one_miss_blocks_and_is_named_with_both_sides():
    examples = [Example(f"case {n}", {"hr": n}, between=(100, 400)) for n in range(12)]
    results = judge_examples(
        examples, [{"prediction": 12.3 if n == 7 else 200.0} for n in range(12)]
    )
    seen = check(results)
    assert not seen.passed
    assert seen.seen == "11 of 12 as expected; 'case 7': 12.3, expected 100 to 400"
    assert seen.required == "each example of x.acceptance.yaml as expected"
    assert seen.evidence["results"][0]["case"] == "case 7", "what was missed comes first"
    warned = check(results, "warn")
    assert warned.passed
    assert warned.seen.startswith("11 of 12 as expected (a warning only); 'case 7'")
    assert check([r for r in results if r.held]).passed
    assert check([r for r in results if r.held], "warn").seen == "11 of 11 as expected"


def test_no_example_at_all_is_no_pass():
    assert not check([]).passed
    assert not check([], "warn").passed


def test_what_travels_is_bounded_and_comes_back_the_same():
    examples = [Example(f"case {n}", {"x": "y" * 4096}, between=(0, 1)) for n in range(1000)]
    seen = check(judge_examples(examples, [{"prediction": 2.0}] * 1000))
    assert (seen.evidence["cases"], len(seen.evidence["results"])) == (1000, ROWS_KEPT)
    assert "; and 997 more" in seen.seen
    written = json.dumps(seen.as_json(), allow_nan=False)
    assert len(written) < 20_000
    assert Check.from_json(json.loads(written)) == seen
    rows = [AcceptanceResult.from_json(row) for row in seen.evidence["results"]]
    assert (rows[0].got, rows[0].value, rows[0].low, rows[0].high) == ("2", 2.0, 0, 1)


def test_a_number_that_is_none_travels_as_nothing():
    result = judged(Example("x", {}, between=(0, 1)), {"prediction": math.nan})
    assert (result.got, result.value) == ("nan", None)
    json.dumps(result.as_json(), allow_nan=False)
