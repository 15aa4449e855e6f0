"""Turns what pydantic found into lines to act on: where, what was seen, what is allowed."""

from __future__ import annotations

import re
import types
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from include.evergreen.spec.document import Document, Location
from include.evergreen.spec.problems import RuleBroken, hint, nearest

_MAX_SEEN = 80
#: What pydantic adds to a location itself: the branch of a union, the key of a mapping.
_MARKERS = frozenset({"[key]", "str", "int", "float", "bool"})


def describe_errors(
    error: ValidationError, document: Document, model: type[BaseModel]
) -> list[str]:
    """One line a problem, in the order of the file."""
    found: list[tuple[int, str]] = []
    for detail in error.errors():
        rule = detail.get("ctx", {}).get("error")
        if isinstance(rule, RuleBroken):
            found += [_placed(document, p.location, p.message) for p in rule.problems]
        else:
            found.append(_placed(document, detail["loc"], _message(detail, model)))
    return [message for _, message in sorted(dict.fromkeys(found))]


def placed(document: Document, location: Location, message: str) -> str:
    """One line for a problem of ours: where it shows, and what it is."""
    return _placed(document, location, message)[1]


def refusal_sheet(name: str, problems: list[str]) -> str:
    """The refusal of a file: at most ten problems, and the true count."""
    shown = "\n".join(f"  {problem}" for problem in problems[:10])
    more = f"\n  ... and {len(problems) - 10} more" if len(problems) > 10 else ""  # noqa: PLR2004
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"{name} is refused, {count}:\n{shown}{more}"


def _placed(document: Document, location: Location, message: str) -> tuple[int, str]:
    while len(location) > 1 and location not in document.lines and location[-1] in _MARKERS:
        location = location[:-1]
    line = document.line_of(location)
    place = ".".join(str(part) for part in location) or "the file"
    return line, f"line {line}, {place}: {message}"


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    location = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return _unknown_key(str(location[-1]), _model_at(model, location[:-1]), model)
    if detail["type"] == "missing":
        return "is required, and is not there"
    seen = repr(detail["input"])
    seen = seen if len(seen) <= _MAX_SEEN else f"{seen[:_MAX_SEEN]}..."
    allowed = detail["msg"].removeprefix("Input should ").removeprefix("Value error, ")
    if detail["type"] == "string_pattern_mismatch" and location[-1] == "model":
        allowed = (
            "be 1 to 63 small letters, digits and underscores, and start with a letter "
            f"(pattern {detail.get('ctx', {}).get('pattern')})"
        )
    if detail["type"] == "literal_error":
        words = re.findall(r"'([^']*)'", allowed)
        allowed += f".{hint(str(detail['input']), words)}"
    return f"saw {seen}; it should {allowed[0].lower()}{allowed[1:]}"


def _unknown_key(key: str, here: type[BaseModel] | None, root: type[BaseModel]) -> str:
    known = list(here.model_fields) if here else []
    message = f"unknown key {key[:_MAX_SEEN]!r}."
    guess = nearest(key, known)
    if guess:
        return f"{message} Did you mean {guess!r}?"
    elsewhere = [place for place in _sections_with(root, key, "") if place]
    if elsewhere:
        return f"{message} It belongs in {' or '.join(repr(place) for place in elsewhere[:3])}."
    return f"{message} Known here: {', '.join(known)}."


def _sections_with(model: type[BaseModel], key: str, at: str) -> list[str]:
    found = [at or "the top level"] if key in model.model_fields else []
    for name, info in model.model_fields.items():
        child = _model_in(info.annotation)
        if child is not None:
            found += _sections_with(child, key, f"{at}.{name}".lstrip("."))
    return found


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The section that a location points at; the name under a dictionary of sections is skipped."""
    here: type[BaseModel] | None = model
    for part in location:
        if here is not None and part in here.model_fields:
            here = _model_in(here.model_fields[str(part)].annotation)
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, dict, tuple):
        for argument in reversed(typing.get_args(annotation)):
            child = _model_in(argument)
            if child is not None:
                return child
    return None
