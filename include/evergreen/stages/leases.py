"""A stage works under a lease: what it does after somebody else took the work over is nothing.

The lease is renewed by a thread while the work goes on; a process that is stopped stops its thread
too, so its lease runs out and another run may take the work. When the first one wakes, its ledger
writes fail in their transaction and its adapters refuse before they call anything outside
(`include.evergreen.fencing`): `LeaseLost`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from include.evergreen.adapters.ledger import Lease, Ledger
from include.evergreen.errors import Busy, EvergreenError, LeaseLost, Unavailable
from include.evergreen.fencing import fenced
from include.evergreen.stages.clock import Clock, utc_now

log = logging.getLogger(__name__)

_RENEWALS = 4
_POLL_S = 0.5

_subjects: ContextVar[tuple[str, ...]] = ContextVar("evergreen_subjects", default=())


class Holder(Protocol):
    """In whose name leases are taken (this process where `owner` is empty), where, for how long."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def owner(self) -> str: ...

    @property
    def lease_s(self) -> float: ...


@contextmanager
def holding(
    holder: Holder, subject: str, *, clock: Clock = utc_now, wait: bool = True
) -> Iterator[None]:
    """Do this block under the lease on `subject`; inside of another such block it is that one's.

    Args:
        holder: in whose name it is taken.
        subject: what is worked on.
        clock: for the lease's times.
        wait: for as long as the present holder's lease still lasts. A dead one's ends; one that
            lives renews it, and is then left to its work.

    Raises:
        Busy: somebody else holds it; a retry can help.
        LeaseLost: somebody else took it during the block.
    """
    if subject in _subjects.get():
        yield
        return
    ledger, lease_s = holder.ledger, holder.lease_s
    lease = _take(holder, subject, clock, wait=wait)
    held = _subjects.set((*_subjects.get(), subject))
    try:
        with (
            renewing(
                lambda: ledger.renew_lease(lease, clock(), lease_s), what=subject, lease_s=lease_s
            ),
            ledger.under_lease(lease),
            fenced(lambda: ledger.confirm_lease(lease, clock(), lease_s)),
        ):
            yield
    except BaseException:
        with contextlib.suppress(EvergreenError):  # what went wrong is what is told
            ledger.release_lease(lease, clock())
        raise
    finally:
        _subjects.reset(held)
    _give_back(holder, lease, clock)


def _take(holder: Holder, subject: str, clock: Clock, *, wait: bool) -> Lease:
    owner = holder.owner or f"process {os.getpid()} on {socket.gethostname()}"

    def take() -> Lease:
        return holder.ledger.take_lease(subject, owner, clock(), holder.lease_s)

    try:
        return take()
    except Busy as busy:
        if not wait:
            raise
        log.info("Waiting: %s", busy)
        seconds = (busy.until - clock()).total_seconds()
    deadline = time.monotonic() + min(seconds, holder.lease_s) + _POLL_S
    while time.monotonic() < deadline:
        time.sleep(_POLL_S)
        try:
            return take()
        except Busy:
            continue
    return take()


@contextmanager
def renewing(renew: Callable[[], object], *, what: str, lease_s: float) -> Iterator[None]:
    """Call `renew` again and again during the block, until it says that the lease is lost."""
    done = threading.Event()

    def keep() -> None:
        while not done.wait(lease_s / _RENEWALS):
            try:
                renew()
            except LeaseLost:
                return  # said again, and acted upon, before the next effect
            except EvergreenError as error:
                log.warning("The lease on %s could not be renewed: %s", what, error)

    renewer = threading.Thread(target=keep, name=f"renew {what}", daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        renewer.join()


def _give_back(holder: Holder, lease: Lease, clock: Clock) -> None:
    """Whoever waits need not wait for its end. Work that somebody else took is not reported done.

    Raises:
        LeaseLost: somebody else took it.
    """
    try:
        holder.ledger.release_lease(lease, clock())
    except Unavailable as error:
        log.warning("The lease on %s ends by itself: %s", lease.subject, error)
