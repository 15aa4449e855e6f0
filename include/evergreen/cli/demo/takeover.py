"""How a version comes to answer: in staging, then in production, where somebody asks meanwhile."""

from __future__ import annotations

from include.evergreen.cli.demo import world
from include.evergreen.cli.demo.client import Client
from include.evergreen.cli.demo.clock import Step, Steps
from include.evergreen.cli.demo.found import Found
from include.evergreen.cli.demo.passerby import Passerby
from include.evergreen.cli.demo.patience import wait_for
from include.evergreen.cli.demo.releases import Releases, Share, told
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.cli.loop.watch import Watch
from include.evergreen.contracts import Deployment
from include.evergreen.stages.bundle import raw_rows
from include.evergreen.stages.resources import Resources


class Takeover:
    """Waits for a version to be live in an environment, and for the end of its release."""

    def __init__(self, resources: Resources, watch: Watch, steps: Steps) -> None:
        self._resources = resources
        self._watch = watch
        self._steps = steps
        self._releases = Releases(watch)

    def passerby(self, period: world.Period) -> Passerby:
        """Somebody who asks production for the rows of these days."""

        def address() -> str:
            return Found(self._watch).in_production().service.endpoint

        rows = world.typed(period.rows(), self._resources.spec)
        return Passerby(raw_rows(rows, Client(address()).contract()), address)

    def under_way(self, live: Deployment) -> int | None:
        """The version that is being released instead of this one; None where none is."""
        version = self._releases.under_way()
        return version if version != live.version else None

    def staged(self, step: Step, version: int) -> Deployment:
        """The version, or a later one, once it answers in staging."""

        def live(facts: Facts) -> Deployment | None:
            found = facts.deployment
            return found if found is not None and found.version >= version else None

        # By hand a version is proven once more that failed, under load say, and was given up.
        found = wait_for(self._watch, self._steps, step, live, nudge="deploy", version=version)
        return _answers(step, found)

    def live(self, step: Step, version: int, passerby: Passerby | None = None) -> Deployment:
        """The version, or a later one, once it answers every request in production.

        Raises:
            DemoFailed: it did not come about, or its release ended with no.
        """

        def live(facts: Facts) -> Deployment | None:
            self._releases.require_wanted(version)
            found = facts.production
            return found if found is not None and found.version >= version else None

        def so_far() -> str:
            shares = self.shares(version)
            asked = f"; {passerby.told()}" if passerby is not None else ""
            return f"v{version} answers {shares[-1].words} of the requests{asked}" if shares else ""

        found = wait_for(self._watch, self._steps, step, live, nudge="release", told=so_far)
        return _answers(step, found)

    def over(self, step: Step, version: int) -> None:
        """The watch of the release is over, and the version is the champion.

        Raises:
            DemoFailed: it was rolled back, or the end did not come about.
        """
        over = self._releases.over(version)
        wait_for(self._watch, self._steps, step, over, nudge="release")

    def shares(self, version: int) -> list[Share]:
        """The shares of the requests that it was given, one after the other."""
        return self._releases.shares(version)

    def told(self, version: int) -> str:
        """How requests came to it: `10% from 20:41:03, 50% from 20:41:15, all from 20:41:27`."""
        return told(self.shares(version)) or self._releases.why_at_once(version) or "all at once"


def _answers(step: Step, found: Deployment) -> Deployment:
    """Until clients are sent there, a moment after the ledger says so."""
    Client(found.service.endpoint).wait_for_version(found.version)
    kind = "a container" if found.service.runtime == "docker" else "a plain process"
    step.detail = f"v{found.version} answers at {found.service.endpoint}, {kind}"
    return found
