"""What a person may put into a trigger form or a run's conf: checked before anything uses it.

Light: pydantic only. A conf is walked without recursion and bounded in size and depth first, so
that neither ten megabytes nor a thousand levels reach a validator, a log or the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from include.evergreen.errors import InputError
from include.evergreen.spec.problems import hint

MAX_CHARACTERS = 64 * 1024
MAX_DEPTH = 8
MAX_VALUES = 1000
_SHOWN = 5
_MAX_SEEN = 80

#: A text that may be left out. A form whose field is a text alone takes no empty one, so the field
#: is a text or null, and nothing is null.
Reason = Annotated[
    str, BeforeValidator(lambda said: "" if said is None else said), Field(max_length=500)
]


class RunParams(BaseModel):
    """Base of every form: frozen, closed to unknown keys, strict about types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class IngestParams(RunParams):
    replay_quarantine: bool = False


class TrainParams(RunParams):
    reason: Reason = ""
    trials: int | None = Field(default=None, ge=1, le=10_000)
    seconds: int | None = Field(default=None, ge=1, le=86_400)
    force: bool = False


class DeployParams(RunParams):
    version: int | None = Field(default=None, ge=1, le=2**53)


class ReleaseParams(RunParams):
    version: int | None = Field(default=None, ge=1, le=2**53)
    reason: Reason = ""


class RollbackParams(RunParams):
    version: int | None = Field(default=None, ge=1, le=2**53)
    reason: Reason = ""


class RetireParams(RunParams):
    confirm: str = Field(default="", max_length=63)
    reason: Reason = ""
    undo: bool = False


class MonitorParams(RunParams):
    """The form of monitor: it has no field."""


class MaintainParams(RunParams):
    dry_run: bool = False
    retention_days: float | None = Field(default=None, ge=1, le=3650)
    model: str | None = Field(default=None, max_length=63)


Form = TypeVar("Form", bound=RunParams)


def parse_conf(conf: object, form: type[Form]) -> Form:
    """The conf as a `form`; InputError if it is no object, too large, too deep, or says nonsense.

    `None` (a run without a conf) is an empty one.
    """
    if conf is None:
        return form()
    if not isinstance(conf, Mapping):
        raise InputError(
            f"The run's conf is a {type(conf).__name__}; it must be a JSON object of "
            f"{_fields(form)}."
        )
    _bound(conf)
    try:
        return form.model_validate(dict(conf))
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems = "; ".join(_problem(detail, form) for detail in details[:_SHOWN])
        raise InputError(
            f"The run's conf is refused ({len(details)} in all): {problems}. Mend it and "
            "trigger again."
        ) from None


def _bound(conf: Mapping[Any, Any]) -> None:
    """Raise InputError where the conf is larger or deeper than any form needs. Never recurses."""
    characters = values = 0
    waiting: list[tuple[object, int]] = [(conf, 1)]
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if depth > MAX_DEPTH:
            raise InputError(f"The run's conf is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(value, Mapping):
            waiting += ((key, depth) for key in value)
            waiting += ((item, depth + 1) for item in value.values())
        elif isinstance(value, list | tuple):
            waiting += ((item, depth + 1) for item in value)
        elif isinstance(value, str | bytes):
            characters += len(value)
        elif isinstance(value, int):
            characters += value.bit_length() // 3
        if characters > MAX_CHARACTERS or values + len(waiting) > MAX_VALUES:
            raise InputError(
                f"The run's conf is larger than {MAX_CHARACTERS:,} characters or "
                f"{MAX_VALUES:,} values; a form needs a few."
            )


def _problem(detail: Any, form: type[RunParams]) -> str:
    place = ".".join(str(part) for part in detail["loc"])[:_MAX_SEEN]
    if detail["type"] == "extra_forbidden":
        return f"{place!r} is unknown, known are {_fields(form)}.{hint(place, _names(form))}"
    seen = repr(detail["input"])[:_MAX_SEEN]
    allowed = detail["msg"].removeprefix("Input should ")
    return f"{place}: saw {seen}; it should {allowed}"


def _names(form: type[RunParams]) -> list[str]:
    return list(form.model_fields)


def _fields(form: type[RunParams]) -> str:
    return ", ".join(_names(form)) or "no field at all"
