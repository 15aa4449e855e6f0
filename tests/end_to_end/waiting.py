"""Waits for a fact to become true, and says what was seen last when it does not."""

import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def wait_for(what: str, look: Callable[[], Seen], seconds: float, poll_s: float = 0.5) -> Seen:
    """The first truthy answer of `look`; AssertionError with the last one after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {seconds:.0f} s: {what}. Last seen: {seen!r}")
        time.sleep(poll_s)
