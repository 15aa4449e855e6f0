"""Wakes ingest when something landed that it has not dealt with: once a burst, and without end.

Level-triggered: each scan compares the landing zones with what the ledger says ingest has
acknowledged, so a restart, a crash or a lost event loses nothing. A file counts when it stopped
growing. An event is small: it wakes, and ingest looks for itself. The heavy modules are imported
in a thread when the trigger runs, never when a DAG file is parsed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

if TYPE_CHECKING:
    from include.evergreen.contracts import LandedFile
    from include.evergreen.stages.resources import Resources

log = logging.getLogger(__name__)

#: What is pending and was told already is told again after this long, twice as long each time: a
#: run may have been dropped (events wake, they promise nothing), or it may fail for a while yet.
_TELL_AGAIN_S = 60.0
_LONGEST_S = 3600.0
#: A scan that fails is tried again after the poll, then twice as long each time, up to this.
_LONGEST_BACKOFF_S = 60.0
_RELOAD_S = 5.0
#: A look that comes early, because a file is due to have settled, is no closer than this.
_SHORTEST_S = 0.1
#: Files of one burst settle one after the other; their event waits for the last, but no longer.
_HOLD_S = 10.0


class LandingTrigger(BaseEventTrigger):
    """Watches the landing zones of one model. Equal arguments share one trigger in Airflow.

    Args:
        model: the model's name; its spec is read again while the trigger runs.
        poll_s: seconds between two looks.
    """

    def __init__(self, model: str, poll_s: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.poll_s = poll_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "include.evergreen.triggers.LandingTrigger",
            {"model": self.model, "poll_s": self.poll_s},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each burst of files, for ever."""
        watch = _Watch(self.model)
        failures = 0
        while True:
            try:
                due = await asyncio.to_thread(watch.look)
            except Exception as error:  # noqa: BLE001 - a trigger that ends never fires again
                failures += 1
                log.warning(
                    "Looking for files of %s failed, %d times in a row now: %s: %s",
                    self.model,
                    failures,
                    type(error).__name__,
                    error,
                )
                due = []
            else:
                failures = 0
            if due:
                log.info("%d files of %s wait to be taken in", len(due), self.model)
                newest = max(due, key=lambda file: file.modified_at)
                yield TriggerEvent(
                    {"model": self.model, "files": len(due), "newest": newest.uri[-500:]}
                )
            await asyncio.sleep(self._pause_s(watch, failures))

    def _pause_s(self, watch: _Watch, failures: int) -> float:
        """Until the next look: sooner if a file will have settled by then, later after failures."""
        if failures:
            backoff_s = min(self.poll_s * 2 ** min(failures, 10), _LONGEST_BACKOFF_S)
            return float(max(self.poll_s, backoff_s))
        return min(self.poll_s, max(watch.settles_in_s(), _SHORTEST_S))


@dataclass
class _Seen:
    fingerprint: str
    since: float


@dataclass
class _Watch:
    """The memory between two looks. All of it may be lost: the ledger knows what was done."""

    model: str
    _resources: Resources | None = None
    _loaded_at: float = float("-inf")
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _done: dict[str, str] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)
    _told_at: float = 0.0
    _tell_again_s: float = _TELL_AGAIN_S
    _held_since: float | None = None
    _settle_at: float = float("inf")

    def settles_in_s(self) -> float:
        """Seconds until the next growing file will have settled; infinite if none is growing."""
        return self._settle_at - time.monotonic()

    def look(self) -> list[LandedFile]:
        """What an event is due for: all files that wait, if one of them was not told of yet."""
        now = time.monotonic()
        self._settle_at = float("inf")
        resources = self._load(now)
        if resources is None:
            return []
        pending = self._pending(resources)
        settled = [file for file in pending if self._has_settled(resources, file, now)]
        self._seen = {file.uri: self._seen[file.uri] for file in pending}
        growing = [self._seen[file.uri].since for file in pending if file not in settled]
        self._settle_at = min(growing, default=float("inf")) + resources.spec.data.limits.settle_s
        return self._due(settled, len(pending) - len(settled), now)

    def _load(self, now: float) -> Resources | None:
        """The model as its spec stands now; None while there is no valid one."""
        if self._loaded_at + _RELOAD_S > now:
            return self._resources
        from include.evergreen.airflow_lookup import load_settings
        from include.evergreen.spec import load_specs
        from include.evergreen.stages.resources import Resources

        settings = self._resources.settings if self._resources else load_settings()
        spec = load_specs(settings.models_dir, only=self.model).specs.get(self.model)
        if self._resources is None or spec != self._resources.spec:
            if spec is None:
                log.info("There is no valid spec of %s; nothing is watched for it", self.model)
            self._resources = Resources(spec, settings) if spec else None
        self._loaded_at = now
        return self._resources

    def _pending(self, resources: Resources) -> list[LandedFile]:
        """What is not acknowledged. The ledger is asked only about what is new to this watch."""
        from include.evergreen.stages.ingest.landed import landed_files

        landed = landed_files(resources)
        unknown = [file for file in landed if self._done.get(file.uri) != file.fingerprint]
        if unknown:
            acknowledged = resources.ledger.acknowledged(self.model)
            self._done = {
                file.uri: file.fingerprint
                for file in landed
                if acknowledged.get(file.uri) == file.fingerprint
            }
            unknown = [file for file in unknown if file.uri not in self._done]
        return unknown

    def _has_settled(self, resources: Resources, file: LandedFile, now: float) -> bool:
        """Unchanged over two looks, and for `settle_s` unless it came whole."""
        from include.evergreen.stages.ingest.landed import is_whole

        seen = self._seen.get(file.uri)
        if seen is None or seen.fingerprint != file.fingerprint:
            self._seen[file.uri] = _Seen(file.fingerprint, now)
            return False
        settle_s = resources.spec.data.limits.settle_s
        return is_whole(resources, file) or now - seen.since >= settle_s

    def _due(self, settled: list[LandedFile], growing: int, now: float) -> list[LandedFile]:
        waiting = {file.uri: file.fingerprint for file in settled}
        told = {uri: mark for uri, mark in self._told.items() if waiting.get(uri) == mark}
        if len(told) < len(self._told):  # ingest is getting somewhere
            self._told, self._told_at, self._tell_again_s = told, now, _TELL_AGAIN_S
        if waiting.keys() == told.keys():
            if not waiting or now - self._told_at < self._tell_again_s:
                return []
            self._tell_again_s = min(self._tell_again_s * 2, _LONGEST_S)
        elif growing and self._holding(now):
            return []
        else:
            self._tell_again_s = _TELL_AGAIN_S
        self._told, self._told_at, self._held_since = waiting, now, None
        return settled

    def _holding(self, now: float) -> bool:
        """Whether to wait for the rest of a burst; not for ever."""
        if self._held_since is None:
            self._held_since = now
        return now - self._held_since < _HOLD_S
