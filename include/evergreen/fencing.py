"""What changes the world outside is done only while the lease of the work stands.

A stage works under a lease of the ledger (`stages/leases.py`) and puts the question whether it
still stands here. Whatever is marked as an effect asks it by `still_ours()` before it begins
(`include.evergreen.effects`), and adapters once more between two calls of one effect, so that no
stage can forget to. The ledger asks by itself, inside each of its transactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_question: ContextVar[Callable[[], None] | None] = ContextVar("evergreen_lease", default=None)


@contextmanager
def fenced(question: Callable[[], None]) -> Iterator[None]:
    """In this block (and this thread) `still_ours` asks `question`, which raises LeaseLost.

    Inside of another such block it asks both.
    """
    outer = _question.get()

    def both() -> None:
        if outer is not None:
            outer()
        question()

    token = _question.set(both)
    try:
        yield
    finally:
        _question.reset(token)


@contextmanager
def making_good() -> Iterator[None]:
    """In this block what this process itself did too much is undone, also without its lease."""
    token = _question.set(None)
    try:
        yield
    finally:
        _question.reset(token)


def still_ours() -> None:
    """Return if the work under way may go on; outside of a lease it always may.

    Raises:
        LeaseLost: somebody else has taken the work over since.
    """
    question = _question.get()
    if question is not None:
        question()
