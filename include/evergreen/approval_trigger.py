"""Waits for a person's answer, for the clock, or until there is nothing to answer any more.

A run that waits keeps its model's next release waiting. So it ends by itself when a newer version
was staged: the default is recorded as the answer, by nobody, and the page is closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk.timezone import utcnow
from airflow.triggers.base import TriggerEvent

if TYPE_CHECKING:
    from include.evergreen.adapters.ledger import Ledger

log = logging.getLogger(__name__)


class ApprovalTrigger(HITLTrigger):  # type: ignore[misc]  # untyped
    """Airflow's trigger of a question, which looks at the ledger too.

    Args:
        proposal: `Proposal` as JSON.
        arguments: those of `HITLTrigger`.
    """

    def __init__(self, *, proposal: dict[str, Any], **arguments: Any) -> None:
        super().__init__(**arguments)
        self.proposal = proposal
        self._ledger: Ledger | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        _, arguments = super().serialize()
        name = f"{ApprovalTrigger.__module__}.{ApprovalTrigger.__qualname__}"
        return name, {**arguments, "proposal": self.proposal}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the answer, once."""
        while True:
            event = await self._handle_response()
            if event is None and (self._is_late() or await self._is_over()):
                event = await self._handle_timeout()
            if event is not None:
                yield event
                return
            await asyncio.sleep(self.poke_interval)

    def _is_late(self) -> bool:
        return self.timeout_datetime is not None and self.timeout_datetime < utcnow()

    async def _is_over(self) -> bool:
        try:
            why = await asyncio.to_thread(self._look)
        except Exception as error:  # noqa: BLE001 - the person's answer is waited for all the same
            log.warning("Whether %s is still wanted is not known: %r", self._subject(), error)
            return False
        if why:
            log.info("Nobody needs to answer for %s any more: %s", self._subject(), why)
        return bool(why)

    def _look(self) -> str:
        if self._ledger is None:
            from include.evergreen.adapters.ledger import open_ledger
            from include.evergreen.airflow_lookup import load_settings

            self._ledger = open_ledger(load_settings().ledger_url)
        from include.evergreen.contracts import Proposal
        from include.evergreen.stages.release.waiting import why_not_wait

        return why_not_wait(self._ledger, Proposal.from_json(self.proposal))

    def _subject(self) -> str:
        return f"{self.proposal['model']} v{self.proposal['version']}"
