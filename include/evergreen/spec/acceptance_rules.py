"""The rules of acceptance examples: each case keeps the contract and expects what can be answered.

What a value of a column may be is said here as `model_code.row_contract` says it, which is not
light to import; a test holds the two against each other.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from include.evergreen.spec.document import Location
from include.evergreen.spec.problems import Problem, hint

if TYPE_CHECKING:
    from include.evergreen.spec.acceptance import AcceptanceCase, AcceptanceExamples, Expectation
    from include.evergreen.spec.model import ModelSpec
    from include.evergreen.spec.sections import Column

MAX_CASES = 1000
#: The largest float32: a number beyond it has no meaning to a model.
LARGEST = 3.4028234663852886e38
LONGEST_TEXT, LONGEST_TIME = 4096, 60
FIRST_YEAR, LAST_YEAR = 1900, 2199
_SHOWN = 60
_REGRESSION_ONLY = ("between", "value", "tolerance", "above", "below")
_CLASSES_ONLY = ("label", "probability")


def broken_case_rules(examples: AcceptanceExamples, spec: ModelSpec) -> Iterator[Problem]:
    """Every rule that the examples break, empty if none."""
    if len(examples.cases) > MAX_CASES:
        yield Problem(("cases",), f"holds {len(examples.cases):,} cases; at most {MAX_CASES:,}")
        return
    names = [case.name for case in examples.cases]
    classes = class_labels(spec)
    for index, case in enumerate(examples.cases):
        at: Location = ("cases", index)
        if case.name in names[:index]:
            yield Problem((*at, "name"), f"{_short(case.name)} stands twice")
        yield from _given(spec, case, at)
        yield from _kinds(spec, case.expect, (*at, "expect"))
        yield from _bounds(case.expect, (*at, "expect"))
        yield from _relations(case, names, (*at, "expect"))
        if spec.task != "regression":
            yield from _classes(case.expect, classes, (*at, "expect"))


def class_labels(spec: ModelSpec) -> dict[str, Any]:
    """The classes of a classification by the text that names them in a file; {} of a regression."""
    if spec.task == "regression":
        return {}
    column = spec.data.columns[spec.data.target]
    if column.type == "boolean":
        return {"false": False, "true": True}
    return {str(value): value for value in column.values or ()}


def contract_columns(spec: ModelSpec) -> tuple[dict[str, Column | None], dict[str, Column | None]]:
    """The columns a row must have, and those it may have; None stands for the key."""
    from include.evergreen.spec.sections import Column

    required: dict[str, Column | None] = dict(spec.feature_columns)
    optional: dict[str, Column | None] = {}
    if spec.data.time is not None:
        time = spec.data.columns.get(spec.data.time) or Column(type="timestamp")
        (required if spec.features.calendar else optional)[spec.data.time] = time
    if spec.data.key is not None and spec.data.key not in {*required, *optional}:
        optional[spec.data.key] = None
    return required, optional


def value_problem(column: Column | None, value: Any) -> str | None:
    """What is wrong with a value by the contract of its column (None: the key's)."""
    if value is None:
        return None if column is None or may_be_missing(column) else "saw null; it may not be"
    if column is None:
        allowed, good = "a text or a whole number", type(value) in {str, int}
        good = good and (type(value) is int or len(value) <= LONGEST_TEXT)
    else:
        allowed, good = _ALLOWED[column.type](column, value)
    return None if good else f"saw {_short(value)}; allowed is {allowed}"


def may_be_missing(column: Column) -> bool:
    """Whether a row may lack the value of this column."""
    takes_any = column.type == "category" and column.values is not None
    return column.max_null_share > 0 or (takes_any and column.unseen == "as_missing")


def _given(spec: ModelSpec, case: AcceptanceCase, at: Location) -> Iterator[Problem]:
    required, optional = contract_columns(spec)
    known = {**required, **optional}
    for name, value in case.given.items():
        if name not in known:
            yield Problem((*at, "given", name), f"no column of a request.{hint(name, list(known))}")
        elif problem := value_problem(known[name], value):
            yield Problem((*at, "given", name), problem)
    for name, column in required.items():
        if name not in case.given and not (column is not None and may_be_missing(column)):
            yield Problem((*at, "given"), f"{name!r} is missing, and it may not be null")


def _kinds(spec: ModelSpec, expect: Expectation, at: Location) -> Iterator[Problem]:
    """What is expected fits the task, and something is."""
    given = expect.model_fields_set
    wrong = _CLASSES_ONLY if spec.task == "regression" else _REGRESSION_ONLY
    for name in wrong:
        if name in given:
            yield Problem((*at, name), f"does not fit {spec.task}")
    if not any(getattr(expect, name) not in (None, {}) for name in given - {"tolerance"}):
        allowed = (set(_REGRESSION_ONLY) | set(_CLASSES_ONLY)) - set(wrong) - {"tolerance"}
        yield Problem(at, f"expects nothing; say one of {', '.join(sorted(allowed))}")
    if (expect.value is None) != (expect.tolerance is None):
        yield Problem(at, "value and tolerance go together: both or neither")


def _bounds(expect: Expectation, at: Location) -> Iterator[Problem]:
    if expect.between and expect.between[0] > expect.between[1]:
        yield Problem((*at, "between"), _descending(expect.between))
    for label, (low, high) in expect.probability.items():
        place = (*at, "probability", label)
        if low > high:
            yield Problem(place, _descending((low, high)))
        elif not 0 <= low <= high <= 1:
            yield Problem(place, f"saw [{low:g}, {high:g}]; a probability is from 0 to 1")


def _descending(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g} is above {bounds[1]:g}; the lower comes first"


def _relations(case: AcceptanceCase, names: list[str], at: Location) -> Iterator[Problem]:
    for relation in ("above", "below"):
        other = getattr(case.expect, relation)
        if other is not None and (other == case.name or other not in names):
            others = [name for name in names if name != case.name]
            yield Problem(
                (*at, relation), f"{_short(other)} is no other case.{hint(other, others)}"
            )


def _classes(expect: Expectation, classes: Mapping[str, Any], at: Location) -> Iterator[Problem]:
    known = ", ".join(list(classes)[:10])
    if expect.label is not None and not any(
        type(label) is type(expect.label) and label == expect.label for label in classes.values()
    ):
        yield Problem((*at, "label"), f"saw {_short(expect.label)}; the classes are {known}")
    for label in expect.probability:
        if label not in classes:
            yield Problem(
                (*at, "probability", label), f"no class of this model; the classes are {known}"
            )


def _number(column: Column, value: Any) -> tuple[str, bool]:
    whole = column.type == "integer"
    allowed = "a whole number" if whole else "a finite number"
    low = -LARGEST if column.min is None else column.min
    high = LARGEST if column.max is None else column.max
    if column.min is not None or column.max is not None:
        ends = (
            "any" if column.min is None else f"{column.min:g}",
            "any" if column.max is None else f"{column.max:g}",
        )
        allowed += f" from {ends[0]} to {ends[1]}"
    good = type(value) in {int, float} and low <= value <= high
    return allowed, good and (not whole or value == math.floor(value))


def _boolean(_: Column, value: Any) -> tuple[str, bool]:
    return "true or false", type(value) in {bool, int, float} and value in (0, 1)


def _category(column: Column, value: Any) -> tuple[str, bool]:
    if column.values is None:
        return "a text", type(value) is str and len(value) <= LONGEST_TEXT
    allowed = f"one of {', '.join(str(v) for v in column.values[:10])}"
    plain = type(value) in {str, int, float}
    plain = plain and not (type(value) is float and not math.isfinite(value))
    return allowed, plain and (column.unseen == "as_missing" or value in column.values)


def _timestamp(_: Column, value: Any) -> tuple[str, bool]:
    allowed = f"an ISO 8601 time, {FIRST_YEAR} to {LAST_YEAR}"
    if type(value) is not str or len(value) > LONGEST_TIME:
        return allowed, False
    try:
        time = dt.datetime.fromisoformat(value)
    except ValueError:
        return allowed, False
    return allowed, FIRST_YEAR <= time.year <= LAST_YEAR


_ALLOWED = {
    "float": _number,
    "integer": _number,
    "boolean": _boolean,
    "category": _category,
    "timestamp": _timestamp,
}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
