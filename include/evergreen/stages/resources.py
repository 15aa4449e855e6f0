"""What a stage works with: one model's spec, and the adapters, opened when first used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from include.evergreen.settings import Settings
from include.evergreen.spec import ModelSpec
from include.evergreen.stages.stores import Stores

if TYPE_CHECKING:
    from include.evergreen.adapters.landing import Landing
    from include.evergreen.adapters.runtime import Runtime


@dataclass(frozen=True)
class Resources(Stores):
    """Opens each adapter once, on first use, so that a task pays only for what it touches.

    `owner` is in whose name leases are taken: the Airflow run, so that a retry takes its own anew;
    this process where nothing is said. `lease_s` is how long one lasts that is not renewed.
    """

    spec: ModelSpec
    settings: Settings
    owner: str = ""
    lease_s: float = 60.0

    @property
    def model(self) -> str:
        return self.spec.model

    @cached_property
    def landing(self) -> Landing:
        from include.evergreen.adapters.landing import open_landing

        return open_landing(self.spec.landing_uri(self.settings), self.settings)

    @cached_property
    def label_landing(self) -> Landing | None:
        """The landing zone of late labels; None where the spec names none."""
        from include.evergreen.adapters.landing import open_landing

        uri = self.spec.labels_uri(self.settings)
        return open_landing(uri, self.settings) if uri else None

    @cached_property
    def runtime(self) -> Runtime:
        from include.evergreen.adapters.runtime import open_runtime

        return open_runtime(self.spec.deployment.runtime, self.settings)
