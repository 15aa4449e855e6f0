"""What an episode is, drawn from its seed: how a version is released, and what befalls it. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

from include.evergreen.spec.release import Strategy

Fault = Literal["none", "crash", "hang", "nan", "slow", "stopped"]
#: Before anything is sent to it; while its strategy is under way; while it is watched.
Moment = Literal["before", "step", "watch"]

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
FAULTS: tuple[Fault, ...] = get_args(Fault)
MOMENTS: tuple[Moment, ...] = get_args(Moment)
#: Seeds in a row that meet every fault at every moment under every strategy once.
ROUND = len(STRATEGIES) * len(FAULTS) * len(MOMENTS)
#: A switch takes an instant, a replay of what was logged no longer, steps some seconds.
_STEP_S = {"blue_green": 0.6, "canary": 2.0, "shadow": 0.6, "ab": 2.0}
_WATCH_S = 1.0


@dataclass(frozen=True)
class Plan:
    """All of an episode. `delay_s` is how long after the moment's beginning the fault strikes."""

    seed: int
    strategy: Strategy
    fault: Fault
    moment: Moment
    delay_s: float


def draw(seed: int) -> Plan:
    """The plan of a seed. One strategy after the other; the fault is another one each time."""
    turn, which = divmod(seed, len(STRATEGIES))
    strategy = STRATEGIES[which]
    fault = FAULTS[(turn + which) % len(FAULTS)]
    moment = MOMENTS[turn // len(FAULTS) % len(MOMENTS)]
    longest_s = {"before": 0.0, "step": _STEP_S[strategy], "watch": _WATCH_S}[moment]
    return Plan(seed, strategy, fault, moment, random.Random(seed).uniform(0, longest_s))
