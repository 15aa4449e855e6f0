"""Marks what an adapter only reads and what it changes; at a change a process can be made to die.

`@effect` makes a failpoint of a function, named after its adapter (or its stage) and itself, such
as `ledger.record_candidate`, and passed `before` and `after` the function runs. An environment
variable arms one of them, and nothing else can: this module reads no spec, param or connection.
Between the two, what changes something outside the ledger asks whether the lease it is done under
still stands (`include.evergreen.fencing`); the ledger asks in its own transactions.

    EVERGREEN_FAILPOINT=registry.set_alias:after        dies (SIGKILL) once the alias is moved
    EVERGREEN_FAILPOINT=lake.commit:before:2            before the second commit of the process
    EVERGREEN_FAILPOINT=runtime.start:after:1:stop      freezes (SIGSTOP) instead; or raise
    EVERGREEN_FAILPOINT_ONCE=/tmp/once                  made when it strikes; it strikes once
    EVERGREEN_FAILPOINT_LOG=/tmp/log                    one line for every failpoint passed

Unarmed, a failpoint costs two looks into the environment: about a microsecond.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar, get_args

from include.evergreen.fencing import still_ours

ARMED = "EVERGREEN_FAILPOINT"
ONCE = "EVERGREEN_FAILPOINT_ONCE"
LOG = "EVERGREEN_FAILPOINT_LOG"

Moment = Literal["before", "after"]
Action = Literal["kill", "raise", "stop"]
Mark = Literal["read", "effect"]

P = ParamSpec("P")
R = TypeVar("R")

#: Every failpoint there is, by name, with the functions that carry it (one an implementation).
POINTS: dict[str, set[str]] = {}
_MARK = "__evergreen_mark__"
_passed: Counter[tuple[str, str]] = Counter()
_counting = threading.Lock()


class FailpointReached(BaseException):
    """Raised by an armed failpoint with the action `raise`; no stage catches it."""


@dataclass(frozen=True)
class Armed:
    """The failpoint that strikes, and how: at the `hit`-th time a process passes it."""

    point: str
    moment: Moment
    hit: int = 1
    action: Action = "kill"

    @classmethod
    def parse(cls, text: str) -> Armed:
        """From `point:before|after[:n][:kill|raise|stop]`; ValueError says what is wrong."""
        point, _, rest = text.partition(":")
        words = rest.split(":")
        hit = int(words.pop(1)) if len(words) > 1 and words[1].isdigit() else 1
        moment, action = words[0], words[1] if len(words) > 1 else "kill"
        ok = point and moment in get_args(Moment) and action in get_args(Action)
        if not ok or len(words) > 2 or hit < 1:  # noqa: PLR2004 - moment and action
            raise ValueError(
                f"{ARMED}={text!r} cannot be read; write point:before|after[:n][:kill|raise|stop], "
                "as in registry.set_alias:after."
            )
        return cls(point, moment, hit, action)  # type: ignore[arg-type]


def read(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that changes nothing that outlives its process."""
    setattr(function, _MARK, "read")
    return function


def effect(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that changes what outlives its process, and make a failpoint of it.

    The function raises LeaseLost, and changes nothing, where its lease is over.
    """
    name = point_of(function)
    asks = not name.startswith("ledger.")
    POINTS.setdefault(name, set()).add(f"{function.__module__}.{function.__qualname__}")

    @functools.wraps(function)
    def between_failpoints(*args: P.args, **kwargs: P.kwargs) -> R:
        _pass(name, "before")
        if asks:
            still_ours()
        outcome = function(*args, **kwargs)
        _pass(name, "after")
        return outcome

    setattr(between_failpoints, _MARK, "effect")
    return between_failpoints


def mark_of(function: object) -> Mark | None:
    """How a function is marked; None if it is not."""
    found: Mark | None = getattr(function, _MARK, None)
    return found


def point_of(function: Callable[..., object]) -> str:
    """`<adapter>.<name>` of an adapter's function, `<module>.<name>` of any other."""
    parts = function.__module__.split(".")
    place = parts[parts.index("adapters") + 1] if "adapters" in parts else parts[-1]
    return f"{place}.{function.__name__.strip('_')}"


def _pass(point: str, moment: Moment) -> None:
    if LOG in os.environ:
        _note(os.environ[LOG], point, moment)
    if ARMED in os.environ:
        armed = Armed.parse(os.environ[ARMED])
        if (armed.point, armed.moment) == (point, moment) and _is_the_hit(armed):
            _strike(armed)


def _note(log: str, point: str, moment: Moment) -> None:
    """One write of a line, so that processes do not cut into each other's."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, f"{os.getpid()} {point} {moment}\n".encode())
    finally:
        os.close(file)


def _is_the_hit(armed: Armed) -> bool:
    with _counting:
        _passed[armed.point, armed.moment] += 1
        if _passed[armed.point, armed.moment] != armed.hit:
            return False
    once = os.environ.get(ONCE)
    if once:
        try:
            Path(once).touch(exist_ok=False)
        except FileExistsError:
            return False
    return True


def _strike(armed: Armed) -> None:
    if armed.action == "raise":
        raise FailpointReached(f"{armed.point}:{armed.moment}")
    os.kill(os.getpid(), signal.SIGKILL if armed.action == "kill" else signal.SIGSTOP)
