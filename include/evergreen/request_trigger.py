"""Wakes train and release for what the ledger says waits and nobody else will wake them for.

Asset events are dropped (apache/airflow#56050), reach no paused DAG, and time sends none: a "no"
that a cooldown or a budget caused ends in silence, and so does a release whose run died. This
watcher looks at the ledger instead, so that it needs no cron, and survives any restart.
Level-triggered: it tells again while nothing has changed, each time after a longer pause. Heavy
modules are imported when it runs, in a thread.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from include.evergreen.adapters.ledger import Ledger

log = logging.getLogger(__name__)

POLL_S = 10.0
_TELL_AGAIN_S = 60.0
_LONGEST_S = 900.0
Stage = Literal["train", "release"]


class RequestTrigger(BaseEventTrigger):
    """Watches what waits for one stage of one model.

    Args:
        model: the model's name.
        poll_s: seconds between two looks.
        stage: `train` has pending requests, `release` staged versions and what was begun.
    """

    def __init__(self, model: str, poll_s: float = POLL_S, stage: Stage = "train") -> None:
        super().__init__()
        self.model = model
        self.poll_s = poll_s
        self.stage = stage

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "include.evergreen.request_trigger.RequestTrigger",
            {"model": self.model, "poll_s": self.poll_s, "stage": self.stage},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event whenever the stage should look and nobody says so to it, for ever."""
        watch = _Watch(self.model, self.stage)
        while True:
            try:
                why = await asyncio.to_thread(watch.look)
            except Exception as error:  # noqa: BLE001 - a trigger that ends never fires again
                log.warning("Looking for requests of %s failed: %r", self.model, error)
                why = ""
            if why:
                log.info("%s of %s is woken: %s", self.stage, self.model, why)
                yield TriggerEvent({"model": self.model, "why": why})
            await asyncio.sleep(self.poll_s)


@dataclass
class _Watch:
    """The memory between two looks. All of it may be lost."""

    model: str
    stage: Stage = "train"
    _ledger: Ledger | None = None
    _told: tuple[int, str] | None = None
    _told_at: float = 0.0
    _tell_again_s: float = _TELL_AGAIN_S

    def look(self) -> str:
        """Why an event is due; empty where none is, or where it was told just before."""
        if self._ledger is None:
            from include.evergreen.adapters.ledger import open_ledger
            from include.evergreen.airflow_lookup import load_settings

            self._ledger = open_ledger(load_settings().ledger_url)
        from include.evergreen.stages.release.retired import why_retired

        if why_retired(self._ledger, self.model):
            return ""
        if self.stage == "train":
            from include.evergreen.stages.training.waiting import unseen
        else:
            from include.evergreen.stages.release.waiting import unseen

        why, standing = unseen(self._ledger, self.model, dt.datetime.now(dt.UTC))
        return why if why and self._is_due(standing, time.monotonic()) else ""

    def _is_due(self, standing: tuple[int, str], now: float) -> bool:
        if standing != self._told:
            self._tell_again_s = _TELL_AGAIN_S
        elif now - self._told_at < self._tell_again_s:
            return False
        else:
            self._tell_again_s = min(self._tell_again_s * 2, _LONGEST_S)
        self._told, self._told_at = standing, now
        return True
