"""What the ledger and the journal tell of the releases of the demo's model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from include.evergreen.cli.demo.patience import DemoFailed
from include.evergreen.cli.loop.outcome import Facts
from include.evergreen.cli.loop.watch import Watch
from include.evergreen.policy.journal import contents
from include.evergreen.policy.releasing import OVER
from include.evergreen.stages.release.stand import STAND, Stand
from include.evergreen.stages.release.words import VERSION, last_word, why_of


@dataclass(frozen=True)
class Share:
    """From `at` (UTC) on the new version answered this share of the requests; `why` decided it."""

    at: dt.datetime
    share: float
    why: str

    @property
    def words(self) -> str:
        return "all" if self.share == 1 else f"{100 * self.share:.3g}%"


def told(shares: Sequence[Share]) -> str:
    """`10% from 20:41:03, 50% from 20:41:15, all from 20:41:27`; '' of none."""
    return ", ".join(f"{share.words} from {share.at:%H:%M:%S}" for share in shares)


class Releases:
    """Looks into the ledger of a watch, anew each time."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def over(self, version: int) -> Callable[[Facts], str | None]:
        """Looks for why release is done with this version, or with a later one; raises DemoFailed
        where it ended with no.
        """

        def seen(_: Facts) -> str | None:
            self.require_wanted(version)
            for decision in self._watch.ledger.decisions_of(self._watch.model, "release"):
                if decision.verdict == "released":
                    about = int(decision.details.get(VERSION) or 0)
                    return decision.reason if about >= version else None
            return None

        return seen

    def require_wanted(self, version: int) -> None:
        """The release of a version goes on, or has not begun.

        Raises:
            DemoFailed: it ended, and the version does not answer in production.
        """
        word, decision = last_word(self._watch.ledger, self._watch.model, version)
        if word in OVER and word not in {"released", "superseded"}:
            raise DemoFailed(
                f"v{version} was not released: {word.replace('_', ' ')}, {why_of(decision)}"
            )

    def under_way(self) -> int | None:
        """The version whose release goes on now; None where none does."""
        staged = self._watch.ledger.deployment(self._watch.model, "staging")
        if staged is None:
            return None
        word, _ = last_word(self._watch.ledger, self._watch.model, staged.version)
        return staged.version if word is not None and word not in OVER else None

    def shares(self, version: int) -> list[Share]:
        """The shares that its strategy gave it in its newest release; none where it had all."""
        found: list[Share] = []
        for entry in self._watch.ledger.journal(self._watch.model):
            said = contents(entry.document)
            if said.get("to_version") != version:
                continue
            if said.get("kind") == "proposed":
                found = []
            elif said.get("kind") == "advanced" and STAND in (said.get("evidence") or {}):
                stand = Stand.from_json(said["evidence"][STAND])
                share = 1.0 if stand.is_over else stand.shares[stand.step]
                at = dt.datetime.fromisoformat(said["at"])
                found.append(Share(at, share, str(said["why"])))
        return found

    def why_at_once(self, version: int) -> str:
        """Why it was sent every request at once, against its spec; '' where it was not."""
        for decision in self._watch.ledger.decisions_of(self._watch.model, "release"):
            if decision.verdict == "at_once" and decision.details.get(VERSION) == version:
                return why_of(decision)
        return ""
