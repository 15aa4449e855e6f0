"""Clients that never stop asking, for as long as a block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Clients(Protocol):
    """Asks in `run`, once in each thread with a number of its own, until it is `over`."""

    over: threading.Event

    def run(self, number: int) -> None: ...


C = TypeVar("C", bound=Clients)


@contextmanager
def asking(clients: C, number: int) -> Iterator[C]:
    """So many of them ask during the block; each has had its answer when it ends."""
    threads = [threading.Thread(target=clients.run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield clients
    finally:
        clients.over.set()
        for thread in threads:
            thread.join()
