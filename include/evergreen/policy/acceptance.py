"""Whether a candidate answers the acceptance examples as the domain's people expect.

No answer, or one that is no number, is never as expected.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from include.evergreen.contracts import AcceptanceResult, Check

CHECK = "acceptance"
#: Rows that travel with the check; all of them are in the version's MLflow run.
ROWS_KEPT = 50
_SHOWN = 3

Bounds = tuple[float, float]
#: The outputs of one row by name (`prediction`, `probability_<class>`), or why there are none.
Answer = Mapping[str, Any] | str


@dataclass(frozen=True)
class Example:
    """One case, made ready: of what it expects, each must hold. `label` None expects no class."""

    case: str
    given: dict[str, Any]
    between: Bounds | None = None
    label: str | int | bool | None = None
    probability: dict[str, Bounds] = field(default_factory=dict)
    above: str | None = None
    below: str | None = None


def judge_examples(
    examples: Sequence[Example], answers: Sequence[Answer]
) -> tuple[AcceptanceResult, ...]:
    """One result an example, in their order; an example without an answer did not hold."""
    given = [*answers, *["no answer"] * (len(examples) - len(answers))]
    by_case = {example.case: answer for example, answer in zip(examples, given, strict=False)}
    return tuple(_judge(example, by_case) for example in examples)


def check_acceptance(
    results: Sequence[AcceptanceResult],
    *,
    mode: Literal["block", "warn"],
    file: str,
    digest: str,
) -> Check:
    """Every example was answered as expected; with `warn` it is only said which were not.

    Args:
        results: of every example of the file.
        mode: whether an example that was not answered as expected fails the check.
        file: the file's name, and `digest` its sha256: which examples they were.
        digest: see `file`.
    """
    missed = [result for result in results if not result.held]
    shown = "; ".join(
        f"'{result.case}': {result.got}, expected {result.expected}" for result in missed[:_SHOWN]
    )
    more = f"; and {len(missed) - _SHOWN} more" if len(missed) > _SHOWN else ""
    word = " (a warning only)" if missed and mode == "warn" else ""
    told = [*missed, *(result for result in results if result.held)][:ROWS_KEPT]
    return Check(
        name=CHECK,
        passed=bool(results) and (not missed or mode == "warn"),
        seen=f"{len(results) - len(missed)} of {len(results)} as expected{word}"
        + (f"; {shown}{more}" if missed else ""),
        required=f"each example of {file} as expected" + (" (mode warn)" if mode == "warn" else ""),
        evidence={
            "file": file,
            "digest": digest,
            "mode": mode,
            "cases": len(results),
            "held": len(results) - len(missed),
            "results": [dataclasses.replace(result, given={}).as_json() for result in told],
        },
    )


def _judge(example: Example, answers: Mapping[str, Answer]) -> AcceptanceResult:
    answer = answers[example.case]
    expected = "; ".join(_words(example))
    if isinstance(answer, str):
        return AcceptanceResult(example.case, expected, answer, held=False, given=example.given)
    bounds, value = _numbers(example, answer)
    low, high = bounds or (None, None)
    return AcceptanceResult(
        case=example.case,
        expected=expected,
        got=_got(example, answer, answers),
        held=_holds(example, answer, answers),
        value=value,
        low=low,
        high=high,
        given=example.given,
    )


def _holds(example: Example, answer: Mapping[str, Any], answers: Mapping[str, Answer]) -> bool:
    prediction = answer.get("prediction")
    claims = []
    if example.between is not None:
        claims.append(_within(prediction, example.between))
    if example.label is not None:
        claims.append(type(prediction) is type(example.label) and prediction == example.label)
    for label, bounds in example.probability.items():
        claims.append(_within(answer.get(f"probability_{label}"), bounds))
    if example.above is not None:
        claims.append(_is_above(prediction, _prediction(answers, example.above)))
    if example.below is not None:
        claims.append(_is_above(_prediction(answers, example.below), prediction))
    return bool(claims) and all(claims)


def _numbers(example: Example, answer: Mapping[str, Any]) -> tuple[Bounds | None, float | None]:
    """The bounds that a page draws, and the number against them."""
    if example.probability:
        label, bounds = next(iter(example.probability.items()))
        return bounds, _finite(answer.get(f"probability_{label}"))
    return example.between, _finite(answer.get("prediction"))


def _words(example: Example) -> list[str]:
    words = []
    if example.label is not None:
        words.append(_text(example.label))
    if example.between is not None:
        words.append(f"{_text(example.between[0])} to {_text(example.between[1])}")
    for label, (low, high) in example.probability.items():
        words.append(f"probability of {label} {_text(low)} to {_text(high)}")
    if example.above is not None:
        words.append(f"above '{example.above}'")
    if example.below is not None:
        words.append(f"below '{example.below}'")
    return words


def _got(example: Example, answer: Mapping[str, Any], answers: Mapping[str, Answer]) -> str:
    seen = _text(answer.get("prediction"))
    shares = [
        f"{label} {_text(answer.get(f'probability_{label}'))}" for label in example.probability
    ]
    others = [
        f"'{other}': {_text(_prediction(answers, other))}"
        for other in (example.above, example.below)
        if other is not None
    ]
    told = ", ".join([*shares, *others])
    return f"{seen} ({told})" if told else seen


def _prediction(answers: Mapping[str, Answer], case: str) -> Any:
    answer = answers.get(case)
    return answer.get("prediction") if isinstance(answer, Mapping) else None


def _within(value: Any, bounds: Bounds) -> bool:
    number = _finite(value)
    return number is not None and bounds[0] <= number <= bounds[1]


def _is_above(higher: Any, lower: Any) -> bool:
    first, second = _finite(higher), _finite(lower)
    return first is not None and second is not None and first > second


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004
    return "nothing" if value is None else str(value)[:60]
