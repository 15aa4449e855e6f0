"""Books the compute seconds of a training while they are used, also for work that never ends.

A piece of work pays in slices, each before it is used, and gets back what it did not use. A
process that is killed has so paid for the slice it died in: a crash loop is not free.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context

from include.evergreen.contracts import Snapshot
from include.evergreen.errors import EvergreenError
from include.evergreen.stages.clock import Clock
from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

SLICE_S = 15.0


@contextlib.contextmanager
def charging(
    resources: Resources, snapshot: Snapshot, work: str, clock: Clock, slice_s: float = SLICE_S
) -> Iterator[None]:
    """Charge the training for the wall time of this block, and for a slice ahead while it runs.

    Args:
        resources: of the model.
        snapshot: of the training that pays.
        work: what is done: `trials/0`, `fit`, `judge`, `refit`. Done again, it is charged again.
        clock: says when; how long is measured.
        slice_s: what is paid in advance, and how often.
    """
    began_at, started = clock(), time.monotonic()
    done = threading.Event()

    def charge(ahead_s: float) -> None:
        seconds = time.monotonic() - started + ahead_s
        _charge(resources, snapshot, work, began_at, seconds, clock)

    def keep_paying() -> None:
        while not done.wait(slice_s):
            charge(slice_s)

    charge(slice_s)
    # In this context: under the lease of the work, where it has one.
    payer = threading.Thread(target=copy_context().run, args=(keep_paying,), daemon=True)
    payer.start()
    try:
        yield
    finally:
        done.set()
        payer.join()
        charge(0.0)


def _charge(
    resources: Resources,
    snapshot: Snapshot,
    work: str,
    began_at: dt.datetime,
    seconds: float,
    clock: Clock,
) -> None:
    """A ledger that does not answer now is no reason to lose a trial: the next slice says it."""
    try:
        resources.ledger.charge_compute(snapshot.key, work, began_at, seconds, clock())
    except EvergreenError as error:
        log.warning("%.0f compute seconds of %s could not be charged: %s", seconds, work, error)
