"""How far a strategy has come, as the ledger has it; read here, moved in `rollout`.

A version that is compared with the champion in production is `starting`: it is live nowhere, and
no champion. How far its strategy has come is in the newest decision `shifting`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from include.evergreen.contracts import Fact, Proposal, Verification
from include.evergreen.policy.releasing import OVER
from include.evergreen.policy.rollout.shadow import Replayed
from include.evergreen.spec.release import Strategy
from include.evergreen.stages.release.counters import Counters
from include.evergreen.stages.release.words import PROPOSAL, VERSION, why_of, words
from include.evergreen.stages.resources import Resources

#: In the details of a decision `shifting`: how far the strategy has come.
STAND = "stand"


@dataclass(frozen=True)
class Side(Fact):
    """A version as it was when a step began: since when it ran, and what it had counted."""

    started: str
    counters: Counters


@dataclass(frozen=True)
class Stand(Fact):
    """How far a strategy has come.

    `began` is when its first step was decided. `step` counts from 0; `shares` has one for each,
    and a step that is none of them means that every request is next. What was counted before the
    step, and when it began (`since`), is known once requests are divided: None and '' before.
    `read` says up to where the lake was read, so that nothing is read twice; `replayed` what a
    shadow has compared of it. `ends` is why it ended with no, which is not carried out yet; ''
    while it may still go on.
    """

    strategy: Strategy
    proven: Verification
    began: str
    shares: tuple[float, ...] = ()
    step: int = 0
    since: str = ""
    champion: Side | None = None
    challenger: Side | None = None
    read: str = ""
    replayed: Replayed = field(default_factory=Replayed)
    ends: str = ""

    @property
    def is_over(self) -> bool:
        return self.step >= len(self.shares)


@dataclass(frozen=True)
class UnderWay:
    """A release whose strategy has begun and is not over, and why it stands where it does."""

    proposal: Proposal
    stand: Stand
    why: str


def under_way(resources: Resources) -> UnderWay | None:
    """The release whose strategy has begun and is not over; None where there is none."""
    over: set[int] = set()
    for word, decision in words(resources.ledger, resources.model):
        version = decision.details[VERSION]
        if word in OVER:
            over.add(version)
        elif word == "shifting" and version not in over:
            proposal = Proposal.from_json(decision.details[PROPOSAL])
            stand = Stand.from_json(decision.details[STAND])
            return UnderWay(proposal, stand, why_of(decision))
    return None


def stand_of(resources: Resources, version: int) -> Stand | None:
    """How far the strategy of a version has come; None where none is under way."""
    found = under_way(resources)
    return found.stand if found is not None and found.proposal.version == version else None
