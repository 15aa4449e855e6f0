"""The stores of an installation, each opened once, when it is first used."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from include.evergreen.settings import Settings

if TYPE_CHECKING:
    from include.evergreen.adapters.lake import Lake
    from include.evergreen.adapters.ledger import Ledger
    from include.evergreen.adapters.registry import Registry
    from include.evergreen.adapters.studies import Studies


class Stores:
    """What holds `settings` can reach; a task pays only for what it touches."""

    settings: Settings

    @cached_property
    def ledger(self) -> Ledger:
        from include.evergreen.adapters.ledger import open_ledger

        return open_ledger(self.settings.ledger_url)

    @cached_property
    def lake(self) -> Lake:
        from include.evergreen.adapters.lake import Lake

        return Lake(self.settings)

    @cached_property
    def registry(self) -> Registry:
        from include.evergreen.adapters.registry import Registry

        return Registry(self.settings)

    @cached_property
    def studies(self) -> Studies:
        from include.evergreen.adapters.studies import Studies

        return Studies(self.settings)
